package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var asJSON = map[string]string{"Content-Type": "application/json"}

func apiInfo(t *testing.T, b *buckets) {
	nobody := account{server: b.Server}
	nobody.ask(t, "GET", "/health", nil, nil).must(t, 200)
	info := nobody.ask(t, "GET", "/", map[string]string{"Accept": "application/json"}, nil).must(t, 200)
	if !json.Valid(info.body) {
		t.Errorf("GET / for a JSON client: %v", info)
	}
	page := nobody.ask(t, "GET", "/", map[string]string{"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, nil).must(t, 200)
	if !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Errorf("GET / for a browser: %v", page.header)
	}
}

func apiUsers(t *testing.T, b *buckets) {
	nobody := account{server: b.Server}
	in := []byte(`{"email":"New@Example.org","password":"long enough"}`)
	var out struct {
		Success bool
		Message string
		Data    map[string]any
	}
	made := nobody.ask(t, "POST", "/api/users/signup", asJSON, in).must(t, 201)
	must(t, json.Unmarshal(made.body, &out))
	if !out.Success || out.Message != "User created successfully" || out.Data["email"] != "new@example.org" || len(out.Data) != 4 ||
		out.Data["id"] == "" || out.Data["createdAt"] == "" || len(fmt.Sprint(out.Data["minioAccessKey"])) != 20 {
		t.Errorf("signup: %v", made)
	}
	failed := func(got answer) {
		t.Helper()
		var e struct {
			Success        *bool
			Error, Message string
		}
		if json.Unmarshal(got.body, &e); e.Success == nil || *e.Success || e.Error == "" || e.Message == "" {
			t.Errorf("an error without its shape: %v", got)
		}
	}
	failed(nobody.ask(t, "POST", "/api/users/signup", asJSON, in).must(t, 409))
	failed(nobody.ask(t, "POST", "/api/users/signup", asJSON, []byte(`{"email":"x","password":"long enough"}`)).must(t, 400))
	failed(nobody.ask(t, "POST", "/api/users/signup", asJSON, []byte(`{"email":"y@example.org","password":""}`)).must(t, 400))
	failed(nobody.ask(t, "POST", "/api/users/login", asJSON, []byte(`{"email":"new@example.org","password":"wrong"}`)).must(t, 401))
	in2 := nobody.ask(t, "POST", "/api/users/login", asJSON, in).must(t, 200)
	must(t, json.Unmarshal(in2.body, &out))
	if !out.Success || out.Message != "Login successful" || out.Data["user"] == nil {
		t.Errorf("login: %v", in2)
	}
	user := account{server: b.Server, token: fmt.Sprint(out.Data["token"])}
	user.ask(t, "GET", "/api/buckets", nil, nil).must(t, 200)
	closed := newAccount(t, server(t), "closed")
	failed(closed.ask(t, "POST", "/api/users/signup", asJSON, in).must(t, 403))
}

func apiNeedsToken(t *testing.T, b *buckets) {
	nobody := account{server: b.Server}
	for _, c := range []struct{ method, path string }{{"GET", "/api/buckets"}, {"POST", "/api/buckets"}, {"DELETE", "/api/buckets"}, {"DELETE", "/api/buckets/x"}, {"GET", "/api/buckets/x/policy"}} {
		if got := nobody.ask(t, c.method, c.path, asJSON, []byte(`{"name":"abc"}`)).must(t, 401); got.message() != "Access token required" {
			t.Errorf("%s %s: %v", c.method, c.path, got)
		}
		for _, none := range []string{"Bearer ", "token"} {
			if got := nobody.ask(t, c.method, c.path, map[string]string{"Authorization": none}, nil).must(t, 401); got.message() != "Access token required" {
				t.Errorf("%s %s with Authorization %q: %v", c.method, c.path, none, got)
			}
		}
	}
}

func apiBuckets(t *testing.T, b *buckets) {
	name := func(s string) []byte { return []byte(`{"name":"` + s + `"}`) }
	b.anna.ask(t, "POST", "/api/buckets", asJSON, name("annas-photos")).must(t, 201)
	b.boris.ask(t, "POST", "/api/buckets", asJSON, name("annas-photos")).must(t, 409)
	b.anna.ask(t, "POST", "/api/buckets", asJSON, name("annas-photos")).must(t, 409)
	for _, bad := range []string{"ab", "Upper", "a..b", "-ab", "ab-", "192.168.0.1", "a/b", "../x", strings.Repeat("x", 64), ""} {
		b.anna.ask(t, "POST", "/api/buckets", asJSON, name(bad)).must(t, 400)
	}
	if got := b.anna.ask(t, "GET", "/api/buckets", nil, nil).must(t, 200); !bytes.Contains(got.body, []byte("annas-photos")) {
		t.Errorf("Anna's buckets: %v", got)
	}
	if got := b.boris.ask(t, "GET", "/api/buckets", nil, nil).must(t, 200); bytes.Contains(got.body, []byte("annas-photos")) {
		t.Errorf("Boris's buckets: %v", got)
	}
	if got := b.boris.webdavStatus(t, "PROPFIND", "/dav/annas-photos"); got != 404 {
		t.Errorf("a refused bucket's directory in Boris's drive: %d", got)
	}
	b.anna.store(t, "annas-photos/cat.jpg", []byte("meow"))
	b.anna.ask(t, "DELETE", "/api/buckets/annas-photos", nil, nil).must(t, 409)
	b.boris.ask(t, "DELETE", "/api/buckets/annas-photos", nil, nil).must(t, 403)
	b.anna.ask(t, "DELETE", "/api/buckets/nothing-here", nil, nil).must(t, 404)
	must(t, code1(b.anna.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("annas-photos"), Key: aws.String("cat.jpg")})))
	b.anna.ask(t, "DELETE", "/api/buckets", asJSON, name("annas-photos")).must(t, 200)
	b.boris.ask(t, "POST", "/api/buckets", asJSON, name("annas-photos")).must(t, 201) // free again
	b.boris.ask(t, "DELETE", "/api/buckets/annas-photos", nil, nil).must(t, 200)
}

func code1[T any](_ T, err error) error { return err }

func (a *account) webdavStatus(t *testing.T, method, path string) int {
	t.Helper()
	return a.ask(t, method, path, map[string]string{"Depth": "0"}, nil).status
}

func policyFor(bucket, principal, effect string, actions ...string) string {
	return policyOf(statementFor(bucket, principal, effect, actions...))
}

func statementFor(bucket, principal, effect string, actions ...string) map[string]any {
	return map[string]any{
		"Effect": effect, "Principal": map[string]any{"AWS": principal}, "Action": actions,
		"Resource": []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/shared/*"},
	}
}

func policyOf(statements ...map[string]any) string {
	b, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	return string(b)
}

func apiPolicy(t *testing.T, b *buckets) {
	name := b.anna.bucket(t)
	path := "/api/buckets/" + name + "/policy"
	none := b.anna.ask(t, "GET", path, nil, nil).must(t, 200)
	policy := policyFor(name, b.boris.email, "Allow", "s3:GetObject")
	must(t, code1(b.anna.client.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &name, Policy: &policy})))
	var out struct {
		Success bool
		Bucket  string
		Policy  json.RawMessage
	}
	got := b.anna.ask(t, "GET", path, nil, nil).must(t, 200)
	must(t, json.Unmarshal(got.body, &out))
	if !out.Success || out.Bucket != name || !bytes.Contains(out.Policy, []byte("2012-10-17")) || !bytes.Contains(none.body, []byte(`"policy":null`)) {
		t.Errorf("a policy: %v; before: %v", got, none)
	}
	b.boris.ask(t, "GET", path, nil, nil).must(t, 403)
	must(t, b.AddUser(t.Context(), "root@example.org", "a password for root", "admin"))
	root := account{server: b.Server, email: "root@example.org", password: "a password for root"}
	root.token = root.login(t)
	root.ask(t, "GET", path, nil, nil).must(t, 200)
	root.ask(t, "GET", "/api/buckets/nothing-here/policy", nil, nil).must(t, 404)
	root.ask(t, "POST", "/api/buckets", asJSON, []byte(`{"name":"roots-own"}`)).must(t, 403)
}
