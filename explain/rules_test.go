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
		r, ok := ruleOf[cdr.TraceRule(i)]
		if !ok || r.says == "" || !strings.HasSuffix(r.means, ".") || !strings.HasSuffix(r.money, ".") {
			t.Errorf("%s: %+v", name, r)
		}
		if !strings.Contains(string(page), "# "+r.section+"\n") {
			t.Errorf("%s: docs/records.md has no section %q", name, r.section)
		}
	}
	if len(ruleOf) != len(cdr.TraceRules)-1 {
		t.Errorf("%d sentences for %d rules", len(ruleOf), len(cdr.TraceRules)-1)
	}
}

func TestEachFieldOfARecordIsExplained(t *testing.T) {
	for _, f := range fields(&cdr.Record{RecordType: cdr.Leg}) {
		if f.Meaning == "" {
			t.Errorf("%s means nothing", f.Name)
		}
	}
}
