// Package s3test gives tests buckets of a real S3 server, versitygw, which
// `make setup` builds from its Go module.
//
//	func TestMain(m *testing.M) { s3test.Main(m) }
//
//	func TestX(t *testing.T) { bucket := s3test.Bucket(t); … bucket.URL … }
package s3test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"satchel/integration/require"
)

// The server's one account.
const (
	AccessKey = "satchel-test"
	SecretKey = "the secret of satchel-test"
)

var shared struct {
	once   sync.Once
	err    error
	dir    string
	server *server
	number atomic.Int64
}

// Main runs a package's tests and ends the server that they used, if any.
// Goroutines that the tests left make them fail.
func Main(m *testing.M) { require.Main(m, Stop) }

// Stop ends the server, for packages with another TestMain; a later [Bucket]
// starts a new one.
func Stop() {
	if shared.server != nil {
		shared.server.stop()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	shared.once, shared.err, shared.server, shared.dir = sync.Once{}, nil, nil, ""
}

// Place is a bucket.
type Place struct {
	Name     string
	Endpoint string     // http URL of the server
	URL      string     // what --blobs takes, with a prefix
	Client   *s3.Client // looks behind the store's back
}

// Bucket makes a bucket for one test, and sets the environment so that AWS's
// standard chain finds the credentials and nothing else.
func Bucket(t testing.TB) Place {
	t.Helper()
	program := require.Tool(t, "versitygw")
	shared.once.Do(func() { shared.err = start(program) })
	if shared.err != nil {
		t.Fatalf("no S3 server for tests: %v", shared.err)
	}
	Credentials(t, AccessKey, SecretKey)
	endpoint := "http://" + shared.server.address
	p := Place{
		Name: fmt.Sprintf("bucket-%d", shared.number.Add(1)), Endpoint: endpoint,
		Client: s3.New(s3.Options{
			BaseEndpoint: &endpoint, UsePathStyle: true, Region: "us-east-1",
			Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
		}),
	}
	p.URL = "s3://" + p.Name + "/packs?endpoint=" + endpoint + "&region=us-east-1"
	if _, err := p.Client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &p.Name}); err != nil {
		t.Fatalf("make a bucket: %v", err)
	}
	return p
}

// Uploads are the names of objects whose uploads in parts are unfinished.
func (p Place) Uploads(t testing.TB) (names []string) {
	t.Helper()
	out, err := p.Client.ListMultipartUploads(context.WithoutCancel(t.Context()), &s3.ListMultipartUploadsInput{Bucket: &p.Name})
	if err != nil {
		t.Fatalf("list uploads: %v", err)
	}
	for _, u := range out.Uploads {
		names = append(names, aws.ToString(u.Key))
	}
	return names
}

// Credentials are all that AWS's standard chain finds during the test.
func Credentials(t testing.TB, access, secret string) {
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

// server is a versitygw that keeps its buckets in files.
type server struct {
	address string
	pid     int
	said    bytes.Buffer // to be read once it has ended
	done    chan struct{}
}

func start(program string) (err error) {
	if shared.dir, err = os.MkdirTemp("", "satchel-s3test-"); err != nil {
		return err
	}
	for try := range 3 { // another program may take the port first
		if shared.server, err = run(program, filepath.Join(shared.dir, fmt.Sprint(try))); err == nil {
			return nil
		}
	}
	return err
}

func run(program, dir string) (*server, error) {
	for _, sub := range []string{"buckets", "iam", "metadata"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{address: free.Addr().String(), done: make(chan struct{})}
	free.Close()
	// Its metadata stands in files beside, since not every file system has extended attributes.
	cmd := exec.Command(program, "--port", s.address, "--iam-dir", filepath.Join(dir, "iam"), "--quiet", "--keep-alive",
		"posix", "--sidecar", filepath.Join(dir, "metadata"), filepath.Join(dir, "buckets"))
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey, "PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &s.said, &s.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The signal comes when the starting thread ends (prctl(2)).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // how it ended is in what it said
			close(s.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	s.pid = cmd.Process.Pid
	for range 400 {
		select {
		case <-s.done:
			return nil, fmt.Errorf("versitygw ended: %s", strings.TrimSpace(s.said.String()))
		case <-time.After(25 * time.Millisecond):
		}
		if conn, err := net.Dial("tcp", s.address); err == nil {
			conn.Close()
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("versitygw does not listen: %s", strings.TrimSpace(s.said.String()))
}

func (s *server) stop() {
	syscall.Kill(s.pid, syscall.SIGKILL)
	<-s.done
}
