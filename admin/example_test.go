package admin_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"

	"januscdr/admin"
)

// A process tells how it is, and is asked by the command of a container's health check.
func ExampleListen() {
	var restored atomic.Bool
	server, err := admin.Listen(admin.Options{
		Listen: "127.0.0.1:0",
		Ready: func() admin.Readiness {
			if !restored.Load() {
				return admin.Readiness{Reasons: []string{"partition 3 is being restored"}}
			}
			return admin.Readiness{Ready: true}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()

	address := server.Addr().String()
	fmt.Println("lives:", admin.Check(ctx, address, false) == nil)
	fmt.Println("works:", admin.Check(ctx, address, true) == nil)
	restored.Store(true)
	fmt.Println("works:", admin.Check(ctx, address, true) == nil)

	stop()
	fmt.Println("ended with", <-ended)
	// Output:
	// lives: true
	// works: false
	// works: true
	// ended with <nil>
}
