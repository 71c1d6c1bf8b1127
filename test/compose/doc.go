// Package compose checks docker-compose.yml as Docker Compose reads it. It is a module of its own, so that its
// library does not become one of the program. It has tests only; run them with `go test -count=1 ./...` in this folder,
// as a cached result does not know that a file outside of the module has changed.
package compose
