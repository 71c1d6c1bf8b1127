// Package composecheck checks docker-compose.yml as Docker Compose reads it. It is a module of its own, so that its
// library does not become one of the program. It has tests only.
package composecheck
