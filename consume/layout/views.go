package layout

import (
	"fmt"
	"strings"
)

// views are what people ask. Columns stand in the order of the table and our own after the first program's, so that a
// view can be replaced by one with more of them while others depend on it: see Dialect.ReplaceView.
func views(columns []string, d Dialect) (all []string) {
	for _, v := range []struct{ name, query string }{
		{"cdr_part", part(columns)},
		{"cdr_leg", leg(columns)},
		{"cdr_session", session(columns)},
		{"cdr_revision", revision},
		{"cdr_hole", hole},
	} {
		if d.ReplaceView {
			all = append(all, fmt.Sprintf("CREATE OR REPLACE VIEW %s AS %s", v.name, v.query))
		} else {
			all = append(all, "DROP VIEW IF EXISTS "+v.name, fmt.Sprintf("CREATE VIEW %s AS %s", v.name, v.query))
		}
	}
	return all
}

// part has the records that count: of each part of a leg or session the highest revision.
func part(columns []string) string {
	return `SELECT record_id, ` + Quoted("", without(columns, "record_id")) + `
FROM cdr
WHERE NOT EXISTS (SELECT 1 FROM cdr newer
  WHERE newer.cdr_id = cdr.cdr_id AND newer.record_sequence_number = cdr.record_sequence_number
    AND newer.revision > cdr.revision)`
}

// leg has one row a leg, whether it came in one record or in parts: the last part, with the duration of all.
func leg(columns []string) string {
	return `SELECT leg_duration AS duration, part_count,
  (is_final AND part_count >= record_sequence_number) AS complete, record_id, ` +
		Quoted("", without(columns, "record_id", "duration")) + `
FROM (SELECT cdr_part.*,
    CAST(SUM(duration) OVER (PARTITION BY cdr_id, session_uid) AS bigint) AS leg_duration,
    COUNT(*) OVER (PARTITION BY cdr_id, session_uid) AS part_count,
    ROW_NUMBER() OVER (PARTITION BY cdr_id, session_uid ORDER BY record_sequence_number DESC) AS from_last
  FROM cdr_part WHERE record_type = 'LEG') AS parts
WHERE from_last = 1`
}

// session has one row a session that is over, with what its legs come to. legs_found differs from leg_count when a
// record is missing.
func session(columns []string) string {
	const legs = `FROM cdr_leg AS leg WHERE leg.session_uid = cdr_part.session_uid`
	return `SELECT (SELECT COUNT(*) ` + legs + ` AND leg.is_final) AS legs_found,
  (SELECT CAST(COALESCE(SUM(leg.duration), 0) AS bigint) ` + legs + ` AND leg.chargeable) AS chargeable_duration,
  record_id, ` +
		Quoted("", without(columns, "record_id")) + `
FROM cdr_part WHERE record_type = 'SESSION'`
}

// revision has one row for each record that was replaced, with what the change comes to.
const revision = `SELECT old.cdr_id, old.record_sequence_number, old.record_id, old.revision,
  newer.record_id AS replaced_by, newer.revision AS by_revision,
  newer.duration - old.duration AS duration_change, newer.append_time AS replaced_time
FROM cdr AS old JOIN cdr AS newer ON newer.cdr_id = old.cdr_id
  AND newer.record_sequence_number = old.record_sequence_number
WHERE newer.revision = (SELECT MIN(next.revision) FROM cdr AS next
  WHERE next.cdr_id = old.cdr_id AND next.record_sequence_number = old.record_sequence_number
    AND next.revision > old.revision)`

// hole has one row for each run of numbers that no record has.
const hole = `SELECT origin_id, topic_partition,
  previous + 1 AS first_missing, local_record_sequence_number - 1 AS last_missing,
  local_record_sequence_number - previous - 1 AS missing
FROM (SELECT origin_id, topic_partition, local_record_sequence_number,
    LAG(local_record_sequence_number) OVER (
      PARTITION BY origin_id, topic_partition ORDER BY local_record_sequence_number) AS previous
  FROM cdr) AS numbers
WHERE local_record_sequence_number > previous + 1`

func without(names []string, but ...string) (rest []string) {
	for _, name := range names {
		if !strings.Contains(" "+strings.Join(but, " ")+" ", " "+name+" ") {
			rest = append(rest, name)
		}
	}
	return rest
}
