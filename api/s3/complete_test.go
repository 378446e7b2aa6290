package s3

import (
	"testing"

	"satchel/api"
)

func TestAside(t *testing.T) {
	if err := <-aside(func() error { return api.Errorf(api.Conflict, "no") }); api.KindOf(err) != api.Conflict {
		t.Errorf("an error: %v", err)
	}
	if err := <-aside(func() error { panic("no") }); api.KindOf(err) != api.Internal {
		t.Errorf("a panic: %v", err)
	}
}
