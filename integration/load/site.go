package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/integration/rig"
	"satchel/migrations"
	"satchel/storage/private"
)

// site is servers that share a PostgreSQL and a directory of content.
type site struct {
	pg      *private.Server
	servers []*rig.Server
	metrics []string // where each tells of itself
	db      *pgx.Conn
}

// startSite starts so many servers below a directory of a new name.
func startSite(ctx context.Context, r *rig.Rig, name string, servers int) (_ *site, err error) {
	dir := filepath.Join(r.Dir, name)
	if err := os.Mkdir(dir, 0o711); err != nil {
		return nil, err
	}
	pg, err := private.Start(ctx, private.Config{Dir: filepath.Join(dir, "pg"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	s := &site{pg: pg}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := migrations.CreateDatabase(ctx, pg.URL(private.Superuser, "postgres"), "satchel"); err != nil {
		return nil, err
	}
	if s.db, err = pgx.Connect(ctx, pg.URL(private.Superuser, "satchel")); err != nil {
		return nil, err
	}
	for i := range servers {
		metrics, err := rig.FreeAddr()
		if err != nil {
			return nil, err
		}
		server, err := r.NewServer(fmt.Sprintf("%s-%d", name, i+1), "--metrics-listen", metrics)
		if err != nil {
			return nil, err
		}
		server.Setenv("SATCHELD_DATABASE_URL", pg.URL(private.Superuser, "satchel"))
		server.Setenv("SATCHELD_KEY_FILE", filepath.Join(dir, "key"))
		server.Setenv("SATCHELD_BLOBS", "file:"+filepath.Join(dir, "blobs"))
		if err := server.Start(ctx); err != nil {
			return nil, err
		}
		s.servers, s.metrics = append(s.servers, server), append(s.metrics, "http://"+metrics+"/metrics")
	}
	return s, nil
}

// close ends all.
func (s *site) close() error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Stop())
	}
	if s.db != nil {
		s.db.Close(context.Background())
	}
	s.pg.Stop()
	return errors.Join(errs...)
}

// sample is how large the servers are at a moment, all together.
type sample struct {
	at          time.Time
	resident    int64 // bytes
	goroutines  int
	connections int // that PostgreSQL has from the servers
	most        int // that they may have: their pools, and one each that listens
	processor   time.Duration
}

// sample asks the servers for their sizes.
func (s *site) sample(ctx context.Context) (all sample, err error) {
	all.at = time.Now()
	for i := range s.servers {
		m, err := readMetrics(ctx, s.metrics[i])
		if err != nil {
			return all, err
		}
		all.resident += int64(m["process_resident_memory_bytes"])
		all.goroutines += int(m["go_goroutines"])
		all.processor += time.Duration(m["process_cpu_seconds_total"] * float64(time.Second))
		all.most += int(m["satchel_database_connections_max"]) + 1
	}
	err = s.db.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'satcheld'`).Scan(&all.connections)
	if err == nil && all.connections > all.most {
		err = fmt.Errorf("the servers have %d connections to PostgreSQL; they may have %d", all.connections, all.most)
	}
	return all, err
}

// readMetrics reads those without labels.
func readMetrics(ctx context.Context, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") || strings.Contains(name, "{") {
			continue
		}
		if values[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	_, err = io.Copy(io.Discard, res.Body)
	for _, name := range []string{"process_resident_memory_bytes", "process_cpu_seconds_total", "go_goroutines", "satchel_database_connections_max"} {
		if _, ok := values[name]; !ok {
			err = errors.Join(err, fmt.Errorf("%s has no %s", url, name))
		}
	}
	return values, errors.Join(err, lines.Err())
}
