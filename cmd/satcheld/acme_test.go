package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"satchel/integration/require"
)

// freePort is a port that nobody has at this moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// everywhereHere is a name server, by TCP as pebble asks, to which every name is
// this machine's.
func everywhereHere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for answerName(conn) == nil {
				}
			}()
		}
	}()
	return l.Addr().String()
}

// answerName reads one question and answers it. Messages have their length
// before them: RFC 1035, 4.2.2.
func answerName(conn net.Conn) error {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	packet := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, packet); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return err
	}
	answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true}, Questions: m.Questions}
	for _, q := range m.Questions {
		if q.Type == dnsmessage.TypeA {
			answer.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
		}
	}
	b, err := answer.AppendPack(make([]byte, 2))
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	_, err = conn.Write(b)
	return err
}

// With --acme-domain a server gets its certificate from a real authority, which asks it
// whether the name is its own; another name gets none.
func TestACME(t *testing.T) {
	pebble := require.Tool(t, "pebble")
	authorityCert, authorityKey, pool := selfSigned(t)
	port, acmePort, managementPort := freePort(t), freePort(t), freePort(t)
	config, _ := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", acmePort), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", managementPort),
		"certificate": authorityCert, "privateKey": authorityKey, "httpPort": freePort(t), "tlsPort": port,
		"profiles": map[string]any{"default": map[string]any{"description": "the one", "validityPeriod": 7776000}},
	}})
	file := filepath.Join(t.TempDir(), "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	authority := exec.Command(pebble, "-config", file, "-strict", "-dnsserver", everywhereHere(t))
	authority.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	var told lines
	authority.Stdout, authority.Stderr = &told, &told
	if err := authority.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { authority.Process.Kill(); authority.Wait() }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	directory := fmt.Sprintf("https://127.0.0.1:%d/dir", acmePort)
	within(t, "the authority answers", time.Minute, func() bool {
		resp, err := client.Get(directory)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})

	const domain = "drive.example.org"
	data := dataDir(t)
	server := exec.Command(programFile(t), "serve", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--data", data, "--acme-domain", domain, "--acme-email", "me@example.org", "--acme-directory", directory)
	server.Env = append(os.Environ(), "SSL_CERT_FILE="+authorityCert) // the authority's own certificate, not those that it gives
	var log lines
	server.Stderr = &log
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "https://") {
		t.Fatalf("it serves %q, %v: %s", line, err, log.String())
	}
	resp, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/roots/0", managementPort))
	if err != nil {
		t.Fatal(err)
	}
	root, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatalf("the authority's root is %s", root)
	}
	dial := func(name string) error {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: roots, ServerName: name})
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial(domain); err != nil {
		t.Errorf("no good certificate for %s: %v\n%s\n%s", domain, err, log.String(), told.String())
	}
	if err := dial("other.example.org"); err == nil {
		t.Error("there is a certificate for a name that was not asked for")
	}
	st, err := os.Stat(filepath.Join(data, "acme"))
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the directory of keys: %v, %v", st, err)
	}
}
