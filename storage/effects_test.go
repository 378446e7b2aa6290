package storage

import (
	"fmt"
	"maps"
	"testing"

	"satchel/api"
)

// A dry restore names what it would change, with what would become of each.
func TestDryRestoreTellsNames(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	for _, path := range []string{"kept", "edited", "moves", "gone/deep/file", "box/x"} {
		d.store(t, path, "then")
	}
	then := d.info(t).Seq
	d.store(t, "edited", "now")
	d.store(t, "new/file", "now")
	move := func(from, to string) {
		t.Helper()
		source, _ := api.ParsePath(from)
		target, _ := api.ParsePath(to)
		if _, err := d.Move(t.Context(), source, target, MoveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	move("moves", "box/moved")
	move("box", "case")
	if err := d.Remove(t.Context(), []api.Name{"gone"}); err != nil {
		t.Fatal(err)
	}
	done, err := d.RestoreAt(t.Context(), api.Point{Seq: then}, true)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range done.Effects {
		got[string(e.Path)] = e.What
		if e.To != "" {
			got[string(e.Path)] += " to " + string(e.To)
		}
	}
	want := map[string]string{
		"edited": api.EffectContent, "new": api.EffectTrashed, "new/file": api.EffectTrashed,
		"case/moved": api.EffectMoved + " to moves", "case": api.EffectMoved + " to box",
		"gone": api.EffectBack, "gone/deep": api.EffectBack, "gone/deep/file": api.EffectBack,
	}
	if !maps.Equal(got, want) || done.Names != len(want) {
		t.Errorf("of %d names it told\n%q\nnot\n%q", done.Names, got, want)
	}

	// Of many it tells the first, and how many there are.
	for i := range maxEffects + 5 {
		d.store(t, fmt.Sprint("more", i), "x")
	}
	if done, err := d.RestoreAt(t.Context(), api.Point{Seq: then}, true); err != nil || len(done.Effects) != maxEffects || done.Names != len(want)+maxEffects+5 {
		t.Errorf("it told %d of %d names: %v", len(done.Effects), done.Names, err)
	}
}
