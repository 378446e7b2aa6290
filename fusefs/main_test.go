package fusefs_test

import (
	"testing"

	"satchel/integration/require"
)

func TestMain(m *testing.M) { require.Main(m, nil) }
