// Package arch holds the project to the order of its rooms: who may import whom, who may touch the world, and that each
// room says what it promises. It has tests only; the order itself is explained in docs/adr/0001-rooms-and-imports.md.
package arch
