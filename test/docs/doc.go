// Package docs keeps the pages in docs/ true. docs/records.md and docs/fields.md have places that the program fills in
// itself: records of recorded calls, pictures of their lives, sums, results of SQL, the table of fields. The tests make
// them again and fail where a page says something else; -update writes what they made into the pages:
//
//	go test ./test/docs -update
//
// Besides, each command, flag, setting and link that a page names must exist.
//
// A place begins with a comment of HTML that says what belongs there (see page_test.go for the words) and ends with
// <!-- end -->. The package has tests only. They read docs/, the recorded traffic and the schema, and build the command
// cdr to ask it what it knows; nothing else is touched.
package docs
