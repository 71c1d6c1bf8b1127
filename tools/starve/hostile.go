package main

import "context"

func (s *site) hostile(context.Context, int, int) error { return nil }
