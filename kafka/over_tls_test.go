package kafka

import (
	"testing"
)

func TestAClientKnowsWhetherItSpeaksOverTLS(t *testing.T) {
	for _, secure := range []bool{false, true} {
		o := Options{Brokers: []string{"127.0.0.1:1"}}
		if secure {
			o.TLS = &TLS{}
		}
		cl, err := NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := usesTLS(cl); got != secure {
			t.Errorf("with TLS %t it says %t", secure, got)
		}
		cl.Close()
	}
}
