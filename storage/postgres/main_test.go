package postgres_test

import (
	"testing"

	"satchel/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
