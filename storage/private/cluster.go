package private

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"satchel/api"
)

// port is only a part of the socket's name.
const port = "5432"

// maxSocketDir is the longest directory for a socket, in bytes: sun_path has
// 108 (unix(7)), and postgres adds "/.s.PGSQL.5432.lock".
const maxSocketDir = 85

func dataPath(dir string) string { return filepath.Join(dir, "data") }
func logPath(dir string) string  { return filepath.Join(dir, "postgres.log") }

// cluster is a database cluster that is ready to be started.
type cluster struct {
	dir       string
	socketDir string
	bin       binaries
	account   account
	settings  map[string]string
	log       *slog.Logger
}

// prepare makes the cluster if there is none, and writes the files that say
// who may connect. The caller holds the owner's lock.
func prepare(ctx context.Context, c Config) (*cluster, error) {
	data := dataPath(c.Dir)
	major, err := clusterVersion(data)
	if err != nil {
		return nil, err
	}
	cl := &cluster{dir: c.Dir, settings: c.Settings, log: c.Log}
	if cl.bin, err = findBinaries(major); err != nil {
		return nil, err
	}
	if cl.account, err = serverAccount(data); err != nil {
		return nil, err
	}
	if err := cl.account.checkPath(c.Dir, cl.bin.path("postgres")); err != nil {
		return nil, err
	}
	if major == 0 {
		if err := cl.init(ctx); err != nil {
			return nil, err
		}
	}
	if err := cl.makeSocketDir(); err != nil {
		return nil, err
	}
	return cl, cl.writeAccess()
}

// clusterVersion is the major version of the cluster, 0 if there is none.
func clusterVersion(data string) (int, error) {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	switch {
	case err == nil:
		major, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return 0, api.Errorf(api.Invalid, "%s/PG_VERSION says %q, which is no PostgreSQL version", data, b)
		}
		return major, nil
	case errors.Is(err, fs.ErrPermission):
		return 0, denied(data, err)
	case !errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("look at the database: %w", err)
	}
	if _, err := os.Lstat(data); err == nil {
		return 0, api.Errorf(api.Invalid, "%s exists but is no PostgreSQL database: move it away, or choose another --data", data)
	}
	return 0, nil
}

// init makes a new cluster. initdb leaves a half-made directory when it is
// killed, so it works beside the final name, which a rename then gives.
func (cl *cluster) init(ctx context.Context) error {
	half := filepath.Join(cl.dir, "data.new")
	if err := os.RemoveAll(half); err != nil {
		return fmt.Errorf("remove a half-made database: %w", err)
	}
	if err := cl.account.mkdir(half); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	cmd := exec.CommandContext(ctx, cl.bin.path("initdb"), "-D", half, "-U", Superuser,
		"--auth-local=peer", "--auth-host=reject", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = half, cl.environ(), cl.account.attr()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM // what it made is removed by the next start
	runtime.LockOSThread()                      // as in start
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the database: initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := os.Rename(half, dataPath(cl.dir)); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	return syncDir(cl.dir)
}

// makeSocketDir makes the directory of the socket: under the database's, or if
// that is too long a name under one for things of a running system.
func (cl *cluster) makeSocketDir() error {
	cl.socketDir = filepath.Join(cl.dir, "sock")
	if len(cl.socketDir) > maxSocketDir {
		base := os.Getenv("XDG_RUNTIME_DIR")
		switch {
		case cl.account.switched:
			base = "/run"
		case base == "" || len(base) > maxSocketDir-24:
			base = "/tmp"
		}
		cl.socketDir = filepath.Join(base, fmt.Sprintf("satchel-%x", sha256.Sum256([]byte(cl.dir)))[:24])
	}
	if err := cl.account.mkdir(cl.socketDir); err != nil {
		return fmt.Errorf("make the directory of the database's socket: %w", err)
	}
	return nil
}

// writeAccess says who may connect: through the socket, as one of our roles,
// only the cluster's owner, root and the user that runs satcheld.
func (cl *cluster) writeAccess() error {
	users := []string{cl.account.name, userName(0), userName(uint32(os.Getuid()))}
	slices.Sort(users)
	var ident strings.Builder
	for _, user := range slices.Compact(users) {
		for _, role := range roles {
			fmt.Fprintf(&ident, "satchel %q %s\n", user, role)
		}
	}
	if err := replaceFile(filepath.Join(cl.dir, "pg_ident.conf"), ident.String()); err != nil {
		return err
	}
	return replaceFile(filepath.Join(cl.dir, "pg_hba.conf"), "local all all peer map=satchel\n")
}

// arguments start postgres with our settings.
func (cl *cluster) arguments() []string {
	settings := map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_directories": cl.socketDir,
		"unix_socket_permissions": "0700",
		"hba_file":                filepath.Join(cl.dir, "pg_hba.conf"),
		"ident_file":              filepath.Join(cl.dir, "pg_ident.conf"),
		"cluster_name":            "satchel",
		"logging_collector":       "off",
		"log_destination":         "stderr",
		"log_line_prefix":         "%m [%p] ",
		"log_timezone":            "UTC",
		"timezone":                "UTC",
		"max_connections":         "100",
		"shared_buffers":          "128MB",
		"effective_cache_size":    "1GB",
		"random_page_cost":        "1.1",
		"synchronous_commit":      "on",
		"max_wal_size":            "1GB",
		"jit":                     "off", // compiling costs more than our queries
	}
	maps.Copy(settings, cl.settings)
	args := []string{"-D", dataPath(cl.dir)}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// environ is all that postgres sees of ours: PG* variables would mislead it.
func (cl *cluster) environ() []string {
	return []string{"PATH=" + cl.bin.dir + ":/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + cl.dir}
}

// replaceFile writes a small file whole: postgres may be reading it.
func replaceFile(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Chmod(0o644), giveToOwner(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
