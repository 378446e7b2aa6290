package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The container is built of what there is, by the Go that go.mod asks for, and what stands beside it finds it.
func TestContainerFiles(t *testing.T) {
	const checkout = "../.."
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(checkout, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	found := func(text, pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("there is no %s", pattern)
		}
		return m[1]
	}
	compose := read("docs/deploy/docker-compose.yml")
	dockerfile := read(filepath.Join("docs/deploy", found(compose, `context: (\S+)`), found(compose, `dockerfile: (\S+)`)))

	image, asked := found(dockerfile, `FROM golang:([0-9.]+)`), found(read("go.mod"), `(?m)^go ([0-9.]+)$`)
	if asked != image && !strings.HasPrefix(asked, image+".") {
		t.Errorf("the image has Go %s, and go.mod asks for %s", image, asked)
	}
	if _, err := os.Stat(filepath.Join(checkout, found(dockerfile, `go build .* (\./cmd/\S+)`), "main.go")); err != nil {
		t.Errorf("the image builds what is not there: %v", err)
	}
	program := found(dockerfile, `COPY --from=build /satcheld (\S+)`)
	if entry := found(dockerfile, `ENTRYPOINT \["(.*)"\]`); entry != program {
		t.Errorf("the image starts %s, and has %s", entry, program)
	}
	port := found(dockerfile, `SATCHELD_LISTEN=0\.0\.0\.0:(\d+)`)
	if to := found(compose, `--to satcheld:(\d+)`); to != port || found(dockerfile, `EXPOSE (\d+)`) != port {
		t.Errorf("the server listens at %s, the proxy goes to %s", port, to)
	}
	if public := found(compose, `SATCHELD_PUBLIC_URL: https://(\S+)`); found(compose, `--from (\S+)`) != public {
		t.Errorf("the proxy is not https://%s", public)
	}
	if data := found(dockerfile, `SATCHELD_DATA=(\S+)`); found(compose, `volumes: \[data:(\S+)\]`) != data || found(dockerfile, `VOLUME (\S+)`) != data {
		t.Errorf("what is in %s is not kept", data)
	}
	// Each volume that a service uses is one.
	_, volumes, _ := strings.Cut(compose, "\nvolumes:\n")
	for _, m := range regexp.MustCompile(`volumes: \[(\w+):`).FindAllStringSubmatch(compose, -1) {
		if !strings.Contains(volumes, "  "+m[1]+":") {
			t.Errorf("the volume %s is not declared", m[1])
		}
	}
}
