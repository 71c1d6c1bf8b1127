package wiring

import (
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// Users are the users of a file and their passwords, a line each as user:password; empty lines and those that begin
// with # are left out. A file that was changed is read again; if it will not do, what was there before goes on.
func Users(file string, log hclog.Logger) (func() map[string]string, error) {
	load := func() (*map[string]string, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		users := map[string]string{}
		for i, line := range strings.Split(string(text), "\n") {
			line = strings.TrimRight(line, "\r")
			if line == "" || line[0] == '#' {
				continue
			}
			user, password, ok := strings.Cut(line, ":")
			_, twice := users[user]
			if !ok || user == "" || password == "" || twice {
				return nil, fmt.Errorf("%s: line %d is no new user with a password; write user:password", file, i+1)
			}
			users[user] = password
		}
		if len(users) == 0 {
			return nil, fmt.Errorf("%s has no user; write user:password", file)
		}
		return &users, nil
	}
	r, err := newRenewed(load, log, file)
	if err != nil {
		return nil, err
	}
	return func() map[string]string { return *r.get() }, nil
}

// User is one user whose password a file has. A file that was changed is read again, as by Users.
func User(user, file string, log hclog.Logger) (func() map[string]string, error) {
	load := func() (*map[string]string, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		password := strings.TrimRight(string(text), "\r\n")
		if password == "" {
			return nil, fmt.Errorf("%s has no password; write it there", file)
		}
		return &map[string]string{user: password}, nil
	}
	r, err := newRenewed(load, log, file)
	if err != nil {
		return nil, err
	}
	return func() map[string]string { return *r.get() }, nil
}
