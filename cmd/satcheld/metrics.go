package main

import (
	"bufio"
	"context"
	"io"
	"iter"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/gc"
	"satchel/storage/postgres"
)

// metrics is what a server counts of itself, for Prometheus. Labels have few
// values: no path, no user, no address.
type metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	active   *prometheus.GaugeVec
	bytes    *prometheus.CounterVec
	lines    *prometheus.CounterVec
	objects  *prometheus.HistogramVec
	moved    *prometheus.CounterVec
	runs     *prometheus.CounterVec
	lastRun  *prometheus.GaugeVec
	behind   prometheus.Gauge
	kept     *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "satchel_" + name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	seconds := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "satchel_" + name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(h)
		return h
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "satchel_" + name, Help: help}, labels)
		m.registry.MustRegister(g)
		return g
	}
	m.requests = counter("http_requests_total", "Requests that were answered, by API and class of status.", "api", "method", "status")
	m.took = seconds("http_request_seconds", "Time from a request's head to the end of its answer; long polls are not in it.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}, "api")
	m.active = gauge("http_requests_active", "Requests that are being answered.", "api")
	m.bytes = counter("http_bytes_total", "Bytes of bodies.", "api", "direction")
	m.lines = counter("log_lines_total", "Lines of the log.", "level")
	m.objects = seconds("blob_seconds", "Time that the blob store took, by operation; get is to its first byte.",
		[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "operation", "result")
	m.moved = counter("blob_bytes_total", "Bytes to and from the blob store.", "operation")
	m.runs = counter("upkeep_runs_total", "Runs of gc and fsck in this process that ended.", "kind", "result")
	m.lastRun = gauge("upkeep_last_success_timestamp_seconds", "When a run last ended well in this process.", "kind")
	m.behind = prometheus.NewGauge(prometheus.GaugeOpts{Name: "satchel_gc_clock_behind_seconds",
		Help: "By how much the last gc in this process took it to be earlier than the database's clock said, not to take for old what a jump of the clock made so."})
	m.kept = gauge("retention_seconds", "How long the past is kept, by the longest of what the servers of the database were told.", "what")
	m.registry.MustRegister(m.behind, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return m
}

// watchDatabase adds the figures of the pool of connections.
func (m *metrics) watchDatabase(db *postgres.DB) {
	gauge := func(name, help string, value func(postgres.PoolStats) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "satchel_database_" + name, Help: help},
			func() float64 { return value(db.Stats()) }))
	}
	gauge("connections", "Open connections to PostgreSQL.", func(s postgres.PoolStats) float64 { return float64(s.Open) })
	gauge("connections_used", "Connections at work.", func(s postgres.PoolStats) float64 { return float64(s.Used) })
	gauge("connections_max", "Most connections that are opened.", func(s postgres.PoolStats) float64 { return float64(s.Max) })
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "satchel_database_waited_seconds_total",
		Help: "Time that requests waited for a connection."}, func() float64 { return db.Stats().Waited.Seconds() }))
}

// apiOf is a request's API, by its path.
func apiOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "v1", "rpc", "files", "users", "api", "dav", "health":
		return first
	}
	return "web"
}

// methods are those that are counted by name: clients make up others.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true, "PROPFIND": true, "PROPPATCH": true,
	"MKCOL": true, "COPY": true, "MOVE": true, "LOCK": true, "UNLOCK": true}

// count counts the requests of a handler, as those of one API or of the one that
// paths say.
func (m *metrics) count(next http.Handler, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api := name
		if api == "" {
			api = apiOf(r.URL.Path)
		}
		method := r.Method
		if !methods[method] {
			method = "other"
		}
		begin := time.Now()
		cw := &countedWriter{ResponseWriter: w}
		var body *countedBody
		if r.Body != nil && r.Body != http.NoBody {
			// On a copy, as net/http wants its own body back.
			copied := *r
			body = &countedBody{ReadCloser: r.Body}
			copied.Body = body
			r = &copied
		}
		active := m.active.WithLabelValues(api)
		active.Inc()
		defer func() {
			active.Dec()
			status := cw.status
			if status == 0 {
				status = http.StatusOK
			}
			m.requests.WithLabelValues(api, method, strconv.Itoa(status/100)+"xx").Inc()
			if !r.URL.Query().Has("wait") {
				m.took.WithLabelValues(api).Observe(time.Since(begin).Seconds())
			}
			m.bytes.WithLabelValues(api, "out").Add(float64(cw.bytes))
			if body != nil {
				m.bytes.WithLabelValues(api, "in").Add(float64(body.bytes))
			}
		}()
		next.ServeHTTP(cw, r)
	})
}

// countedWriter passes everything on, so that files are still sent by the kernel.
type countedWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countedWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

func (w *countedWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Flush and Hijack are asked for by type by packages that do not know Unwrap.
func (w *countedWriter) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }

func (w *countedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

type countedBody struct {
	io.ReadCloser
	bytes int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	return n, err
}

// countedLog counts lines by level.
type countedLog struct {
	slog.Handler
	lines *prometheus.CounterVec
}

func (l countedLog) Handle(ctx context.Context, r slog.Record) error {
	l.lines.WithLabelValues(r.Level.String()).Inc()
	return l.Handler.Handle(ctx, r)
}

func (l countedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return countedLog{l.Handler.WithAttrs(attrs), l.lines}
}

func (l countedLog) WithGroup(name string) slog.Handler {
	return countedLog{l.Handler.WithGroup(name), l.lines}
}

// countedStore measures a blob store.
type countedStore struct {
	blob.Store
	m *metrics
}

func (s countedStore) observe(operation string, begin time.Time, err error) {
	result := "ok"
	switch {
	case api.KindOf(err) == api.NotFound:
		result = "not_found"
	case err != nil:
		result = "error"
	}
	s.m.objects.WithLabelValues(operation, result).Observe(time.Since(begin).Seconds())
}

func (s countedStore) Put(ctx context.Context, key string, r io.Reader) error {
	begin, body := time.Now(), &countedBody{ReadCloser: io.NopCloser(r)}
	err := s.Store.Put(ctx, key, body)
	s.observe("put", begin, err)
	s.m.moved.WithLabelValues("put").Add(float64(body.bytes))
	return err
}

func (s countedStore) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	begin := time.Now()
	body, err := s.Store.Get(ctx, key, off, n)
	s.observe("get", begin, err)
	if err != nil {
		return nil, err
	}
	return &movedBody{body, s.m.moved.WithLabelValues("get")}, nil
}

func (s countedStore) Delete(ctx context.Context, key string) error {
	begin := time.Now()
	err := s.Store.Delete(ctx, key)
	s.observe("delete", begin, err)
	return err
}

func (s countedStore) List(ctx context.Context) iter.Seq2[blob.Info, error] { return s.Store.List(ctx) }

type movedBody struct {
	io.ReadCloser
	moved prometheus.Counter
}

func (b *movedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.moved.Add(float64(n))
	return n, err
}

// ended counts a run of gc or fsck.
func (m *metrics) ended(kind string, report any, err error) {
	if r, ok := report.(gc.Report); ok {
		m.behind.Set(r.BehindSeconds)
	}
	if err != nil {
		m.runs.WithLabelValues(kind, "error").Inc()
		return
	}
	m.runs.WithLabelValues(kind, "ok").Inc()
	m.lastRun.WithLabelValues(kind).SetToCurrentTime()
}

// keeps shows how long the past is kept; for ever is +Inf.
func (m *metrics) keeps(r postgres.Retention) {
	for what, d := range map[string]time.Duration{"versions": r.Versions, "daily": r.Daily, "trash": r.Trash, "events": r.EventsKept()} {
		seconds := d.Seconds()
		if d == postgres.Forever {
			seconds = math.Inf(1)
		}
		m.kept.WithLabelValues(what).Set(seconds)
	}
}

// private is what the address that only operators reach serves: metrics, profiles
// (but not the command line, which may have a password in it), and whether the process lives (/health) and takes requests (/ready).
func (m *metrics) private(ready func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry}))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			http.Error(w, "not ready: "+string(api.KindOf(err)), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
