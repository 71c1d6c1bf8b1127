package pipeline

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"januscdr/statestore"
)

var classify = classifier{
	group: "g", instance: "one", name: "g-one-0", transactionTimeout: time.Minute, sessionTimeout: time.Minute,
}

func TestAnErrorThatWouldComeAgainSaysSoItself(t *testing.T) {
	for _, sentinel := range []error{
		ErrFenced, ErrOutOfRange, ErrAhead, ErrBroken, ErrTooLarge, ErrForeign, ErrVersion,
		statestore.ErrForeign, statestore.ErrFull,
		kerr.FencedInstanceID, kerr.InvalidTransactionTimeout, kerr.InvalidSessionTimeout,
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed,
	} {
		for _, err := range []error{
			sentinel,
			fmt.Errorf("restore: %w: %w", errStates, fmt.Errorf("partition 3: %w", sentinel)),
			and(io.ErrUnexpectedEOF, sentinel),
		} {
			got := classify.failure(time.Now(), err)
			if !isPermanent(got) || !errors.Is(got, sentinel) || errors.Is(got, errUnknown) {
				t.Errorf("%v: got %v, want a permanent error", err, got)
			}
			if again := classify.failure(time.Now(), fmt.Errorf("and so: %w", got)); !isPermanent(again) {
				t.Errorf("%v: it is forgotten on the way: %v", err, again)
			}
		}
	}
}

func TestAnErrorThatNobodyKnowsIsTakenForOneThatPasses(t *testing.T) {
	for _, err := range []error{
		errors.New("something new"), io.EOF, context.DeadlineExceeded, kgo.ErrClientClosed, kerr.UnknownServerError,
		&kerr.Error{Message: "OF_NEXT_YEAR", Code: 9999}, kerr.UnknownMemberID, kerr.InvalidTxnState,
		statestore.ErrClosed, statestore.ErrInUse, silent{},
	} {
		got := classify.failure(time.Now(), fmt.Errorf("end transaction: %w", err))
		if !errors.Is(got, errUnknown) || !errors.Is(got, err) || isPermanent(got) {
			t.Errorf("%v: got %v, want that the changelog is asked", err, got)
		}
	}
}

// silent is an error that has the method, and says no.
type silent struct{}

func (silent) Error() string   { return "passes" }
func (silent) Permanent() bool { return false }

// A sentinel that is made like any error would be tried again forever.
func TestEachErrorThatEndsAProcessorIsMadePermanent(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "processor.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		value, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(value.Names[0].Name, "Err") {
			return true
		}
		seen++
		made, _ := value.Values[0].(*ast.CallExpr)
		if by, _ := made.Fun.(*ast.Ident); by == nil || by.Name != "permanent" {
			t.Errorf("%s is not made by permanent", value.Names[0].Name)
		}
		return true
	})
	if seen < 7 {
		t.Errorf("%d errors were found", seen)
	}
}
