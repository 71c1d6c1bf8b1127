package cdr

import (
	"fmt"
	"reflect"
)

// unlike names the place in which two values differ; empty when they are the same. A list that is nil and one that is
// empty are the same, and pointers are followed.
func unlike(a, b any) string { return unlikeAt("", reflect.ValueOf(a), reflect.ValueOf(b)) }

func unlikeAt(at string, a, b reflect.Value) string {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return fmt.Sprintf("%s: nil %t and %t", at, a.IsNil(), b.IsNil())
			}
			return ""
		}
		return unlikeAt(at, a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if d := unlikeAt(at+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Map:
		if a.Len() != 0 || b.Len() != 0 {
			return at + " is not written"
		}
		return ""
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s has %d elements and %d", at, a.Len(), b.Len())
		}
		for i := range a.Len() {
			if d := unlikeAt(fmt.Sprintf("%s[%d]", at, i), a.Index(i), b.Index(i)); d != "" {
				return d
			}
		}
		return ""
	}
	if !a.Equal(b) {
		return fmt.Sprintf("%s is %v and %v", at, a, b)
	}
	return ""
}
