package cdr

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// Lists that are written by hand and must have every field of a struct: who adds one is told here.

func TestTwoPoliciesThatDifferHaveTwoFingerprints(t *testing.T) {
	rule := func() Policy {
		p := DefaultPolicy()
		p.Rules = []Rule{{}}
		return p
	}
	names := map[string]string{}
	name := func(what string, p Policy) {
		t.Helper()
		print := p.Fingerprint()
		if other, taken := names[print]; taken {
			t.Errorf("%s and %s have one fingerprint", what, other)
		}
		names[print] = what
	}
	name("the default", DefaultPolicy())
	name("a rule that says nothing", rule())
	vary := func(what string, make func() Policy, in func(*Policy) reflect.Value) {
		p := make()
		typ := in(&p).Type()
		for i := range typ.NumField() {
			field := typ.Field(i)
			if field.Type == reflect.TypeFor[Terms]() || field.Type == reflect.TypeFor[Partial]() || field.Name == "Rules" {
				continue // each has a walk of its own
			}
			p := make()
			differ(t, in(&p).Field(i))
			name(what+field.Name, p)
			if field.Type.Kind() == reflect.Slice && field.Type.Elem() == reflect.TypeFor[LegKind]() {
				p := make()
				in(&p).Field(i).Set(reflect.MakeSlice(field.Type, 0, 0))
				name(what+field.Name+", none", p)
			}
		}
	}
	vary("", DefaultPolicy, func(p *Policy) reflect.Value { return reflect.ValueOf(p).Elem() })
	vary("Terms.", DefaultPolicy, func(p *Policy) reflect.Value { return reflect.ValueOf(&p.Terms).Elem() })
	vary("Partial.", DefaultPolicy, func(p *Policy) reflect.Value { return reflect.ValueOf(&p.Partial).Elem() })
	vary("Rule.", rule, func(p *Policy) reflect.Value { return reflect.ValueOf(&p.Rules[0]).Elem() })
	if want := 4 + 7 + 3 + 11; len(names) < want {
		t.Errorf("%d policies were tried, want %d or more", len(names), want)
	}
}

// Records of an older version say by this name that they were made under the default policy.
func TestTheFingerprintOfAPolicyStays(t *testing.T) {
	p := DefaultPolicy()
	if got := p.Fingerprint(); got != "848df2174fd335b5" {
		t.Errorf("the default policy is %s", got)
	}
}

// differ gives a field of a policy another value.
func differ(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Int64:
		v.SetInt(v.Int() + 7)
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	case reflect.String:
		v.SetString("x")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*time.Location]() {
			v.Set(reflect.ValueOf(time.UTC))
			return
		}
		v.Set(reflect.New(v.Type().Elem())) // a rule that says 0 is another one than a rule that says nothing
	default:
		t.Fatalf("how does a %v differ?", v.Type())
	}
}

// What a client can make long is cut when the state of its session is full. A text that is not may not be one of many.
func TestEachTextOfALegAndAHandleIsCutWhenTheStateIsFull(t *testing.T) {
	long := strings.Repeat("x", maxText)
	l, h := &leg{}, &handle{id: 1}
	fill(reflect.ValueOf(l).Elem(), long)
	fill(reflect.ValueOf(h).Elem(), long)
	h.legs = []*leg{l}
	p, err := Open(DefaultPolicy(), Source{}, MemoryStates{})
	if err != nil {
		t.Fatal(err)
	}
	l.kind, l.ended = PeerConnection, true
	f := &eventFold{p: p, s: &session{}, h: h}
	f.truncateTo(h, 16, shortest, 1, 1)
	stays := map[string]int{
		"handle.plugin":     48,      // Janus' own are no longer
		"leg.streams[].mid": maxText, // by it reports find their stream, of which one is left
	}
	check := func(name string, v reflect.Value) { cutTo(t, name, v, shortest, stays) }
	check("leg", reflect.ValueOf(l).Elem())
	check("handle", reflect.ValueOf(h).Elem())
}

// fill puts text into each string of a struct, and one element into each list.
func fill(v reflect.Value, text string) {
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Pointer {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), text)
		}
	}
}

func cutTo(t *testing.T, name string, v reflect.Value, most int, stays map[string]int) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		if longer := stays[name]; longer != 0 {
			most = longer
		}
		if v.Len() > most {
			t.Errorf("%s has %d bytes, want at most %d: see truncateTo", name, v.Len(), most)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			cutTo(t, name+"."+v.Type().Field(i).Name, v.Field(i), most, stays)
		}
	case reflect.Slice:
		for i := range v.Len() {
			if v.Type().Elem().Kind() != reflect.Pointer {
				cutTo(t, name+"[]", v.Index(i), most, stays)
			}
		}
	}
}
