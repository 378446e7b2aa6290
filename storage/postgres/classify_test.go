package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// TestClassifyQuota: a used-up quota of the file system is told from other internal errors of PostgreSQL, whatever it was that it could
// not write.
func TestClassifyQuota(t *testing.T) {
	for routine, want := range map[string]api.Kind{
		"mdextend": api.NoSpace, "mdzeroextend": api.NoSpace, "mdwrite": api.NoSpace, "mdwritev": api.NoSpace,
		"SlruReportIOError": api.NoSpace, "BufFileDumpBuffer": api.NoSpace,
		"mdread": api.Internal, "ExecModifyTable": api.Internal, "": api.Internal,
	} {
		if got := api.KindOf(classify(&pgconn.PgError{Code: "XX000", Routine: routine})); got != want {
			t.Errorf("an internal error of %q is %q, want %q", routine, got, want)
		}
	}
	if got := api.KindOf(classify(&pgconn.PgError{Code: "22012", Routine: "mdextend"})); got != api.Internal {
		t.Errorf("another error from there is %q", got)
	}
}
