package explain

import (
	"os"
	"strings"
	"testing"

	"januscdr/cdr"
)

func TestEachRuleOfTheFoldHasItsSentence(t *testing.T) {
	page, err := os.ReadFile("../docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range cdr.TraceRules {
		if cdr.TraceRule(i) == cdr.RuleUnknown {
			continue
		}
		r, ok := ruleTexts[cdr.TraceRule(i)]
		if !ok || r.conclusion == "" || !strings.HasSuffix(r.rule, ".") || !strings.HasSuffix(r.billing, ".") {
			t.Errorf("%s: %+v", name, r)
		}
		if !strings.Contains(string(page), "# "+r.section+"\n") {
			t.Errorf("%s: docs/records.md has no section %q", name, r.section)
		}
	}
	if len(ruleTexts) != len(cdr.TraceRules)-1 {
		t.Errorf("%d sentences for %d rules", len(ruleTexts), len(cdr.TraceRules)-1)
	}
}

// A sentence leaves no gap, whatever it is about, and does not read what a client chose as a gap.
func TestNoSentenceHasAGap(t *testing.T) {
	p := &parts{handles: []*handleState{{id: 1}, {id: 2}}}
	for i := range cdr.TraceRules {
		for _, kind := range []cdr.LegKind{cdr.LegKindUnknown, cdr.PeerConnection, cdr.SIPCall, cdr.RoomMembership} {
			for _, word := range []string{
				"", "{leg}", cdr.EndEmitterRestart.String(), cdr.ByLocal.String(), cdr.CauseTimeLimit.String(),
			} {
				c := &conclusion{record: &cdr.Record{}, Conclusion: cdr.Conclusion{
					Rule: cdr.TraceRule(i), Handle: 1, LegKind: kind, At: 1e15, Limit: 5e6, Word: word,
				}}
				got := p.sentence(c)
				if strings.Contains(strings.ReplaceAll(got, "{leg}", ""), "{") || strings.Contains(got, "  ") ||
					word == "" && strings.Contains(got, "{leg}") {
					t.Errorf("%s: %s", cdr.TraceRule(i), got)
				}
			}
		}
	}
}

func TestEachFieldOfARecordIsExplained(t *testing.T) {
	for _, f := range fields(&cdr.Record{RecordType: cdr.Leg}) {
		if f.Meaning == "" {
			t.Errorf("%s means nothing", f.Name)
		}
	}
}
