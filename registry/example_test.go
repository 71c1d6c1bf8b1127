package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"januscdr/registry"
)

// A registry that has other schemas, but not ours, can be told of it: see Register.
func ExampleRegistry_Find() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error_code":40401,"message":"Subject not found."}`, http.StatusNotFound)
	}))
	defer server.Close()

	r, err := registry.New(registry.Options{URLs: []string{server.URL}, Subject: "janus.cdr-value"})
	if err != nil {
		panic(err)
	}
	_, err = r.Find(context.Background())
	fmt.Println(r.Subject(), errors.Is(err, registry.ErrAbsent))
	// Output: janus.cdr-value true
}
