package everyday

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMedianAndRatios(t *testing.T) {
	r := &Results{
		systems: []*System{{Name: "plain"}, {Name: "loopback"}, {Name: "satchel", Against: "loopback"}},
		rows:    []Row{{Word: "a", Name: "A"}, {Word: "b", Name: "B"}},
		times: map[cell][]time.Duration{
			{"a", "plain"}:    {3 * time.Second, time.Second, 2 * time.Second},
			{"a", "loopback"}: {4 * time.Second},
			{"a", "satchel"}:  {time.Second},
			{"b", "plain"}:    {time.Second},
			{"b", "loopback"}: {4 * time.Second},
			{"b", "satchel"}:  {4 * time.Second},
		},
	}
	for _, want := range []string{
		"| A | 2.000 | 2.00 | 0.50 | 0.25 |\n",
		"| B | 1.000 | 4.00 | 4.00 | 1.00 |\n",
		"| geometric mean | | **2.83** | **1.41** | **0.50** |\n",
	} {
		if got := r.Markdown(); !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
}

func TestChoose(t *testing.T) {
	rows, err := Choose(Tiny.Rows(), "read, create")
	if err != nil || len(rows) != 2 || rows[0].Word != "create" || rows[1].Word != "read" {
		t.Errorf("choose = %v, %v", rows, err)
	}
	if _, err := Choose(Tiny.Rows(), "dance"); err == nil {
		t.Error("a row that does not exist was accepted")
	}
}

// TestMadeTree holds the tree that is made up to what the rows that use it
// want, without a mount.
func TestMadeTree(t *testing.T) {
	s := *Tiny
	if err := s.Prepare(filepath.Join(t.TempDir(), "tree.tar")); err != nil {
		t.Fatal(err)
	}
	rows, err := Choose(s.Rows(), "untar,grep,find,rm")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Measure(t.Context(), []*System{{Name: "plain", Dir: t.TempDir()}}, s.Rows(), rows, 1, t.Output())
	if err == nil {
		err = r.Failed()
	}
	if err != nil {
		t.Error(err)
	}
}
