package contract

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNamesBreakNoHeader: a file's name may be anything, and stays within its
// header by every way that a file is sent.
func TestNamesBreakNoHeader(t *testing.T) {
	w := worldOf(t, "file")
	p := w.newPerson(t)
	for i, name := range []string{"a\r\nX-Evil: yes", "b\nSet-Cookie: x=y", `c"; filename="evil.exe`, "d\r\n\r\n<script>alert(1)", "e\x00"[:1] + "\x1b[2J", "f;filename*=UTF-8''evil.exe", "\u202egpj.exe", "\xff\xfe.txt"} {
		name = "ü" + name // what is ASCII is taken as it stands: see "Header values"
		dir := fmt.Sprintf("d%d", i)
		escaped := url.PathEscape(name)
		p.send(t, "POST", "/rpc/store_file", object{"File-Path": dir + "/" + escaped}, "content").is(t, 200, "")
		for _, path := range []string{
			file(dir, name), "/rpc/retrieve_file?p_file_path=" + url.QueryEscape(dir+"/"+name), "/api/vfs/get/home/" + dir + "/" + escaped,
			"/dav/" + dir + "/" + escaped, "/open/" + dir + "/" + escaped, "/download/" + dir + "/" + escaped, "/file/" + dir + "/" + escaped,
		} {
			header := object{}
			if strings.HasPrefix(path, "/open/") || strings.HasPrefix(path, "/download/") || strings.HasPrefix(path, "/file/") {
				header["Cookie"] = p.cookie
			}
			got := p.send(t, "GET", path, header, nil)
			if got.status != 200 {
				if !strings.Contains(name, "\xff") { // which some ways can't name
					t.Errorf("%s: %v", path, got)
				}
				continue
			}
			for field, values := range got.header {
				if field == "X-Evil" || field == "Set-Cookie" || len(values) > 1 && field != "Vary" || strings.ContainsAny(strings.Join(values, ""), "\r\n") {
					t.Errorf("%s: %s: %q", path, field, values)
				}
			}
			if shown := got.header.Get("Content-Disposition"); strings.Contains(shown, `="evil`) {
				t.Errorf("%s: %s", path, shown)
			}
		}
		// The name of a directory is an archive's.
		p.send(t, "POST", "/rpc/store_file", object{"File-Path": dir + "x/" + escaped + "/f"}, "x").is(t, 200, "") // decoded: it has an ü
		if i < 3 {
			got := p.get(t, "/api/vfs/compress/home/"+dir+"x/"+escaped)
			if got.status != 200 || got.header.Get("X-Evil") != "" || got.header.Get("Set-Cookie") != "" || len(got.header.Values("Content-Disposition")) != 1 {
				t.Errorf("an archive of %q: %d %v", name, got.status, got.header)
			}
		}
	}
}

// TestEnumeration: who guesses paths, ids, addresses or names of buckets learns
// nothing: each guess, right or wrong, gets the same answer in a similar time.
func TestEnumeration(t *testing.T) {
	w := worldOf(t, "file")
	victim, guest := w.newPerson(t), w.newPerson(t)
	id := victim.store(t, "taxes/2026.pdf", "secret")
	bucket := "v-" + strings.ReplaceAll(victim.id, "-", "")
	victim.send(t, "POST", "/api/buckets", nil, object{"name": bucket}).is(t, 201, "")
	victim.store(t, bucket+"/x.txt", "secret")
	const absent = "0190aaaa-0000-7000-8000-00000000000e"
	other := "w" + bucket[1:]
	for what, c := range map[string]struct {
		method      string
		right, no   string // the guesses
		body, wrong any
		by          []*person
	}{
		"a path of another's":   {"GET", "/rpc/get_file?p_bucket_path=" + victim.id + "/taxes&p_file_name=2026.pdf", "/rpc/get_file?p_bucket_path=" + victim.id + "/taxes&p_file_name=2027.pdf", nil, nil, []*person{guest, w.stranger(), w.admin}},
		"its metadata":          {"GET", "/rpc/get_metadata?p_bucket_path=" + victim.id + "/taxes&p_file_name=2026.pdf", "/rpc/get_metadata?p_bucket_path=" + absent + "/taxes&p_file_name=2026.pdf", nil, nil, []*person{guest, w.stranger(), w.admin}},
		"a bucket's path":       {"GET", file(bucket, "x.txt"), file(other, "x.txt"), nil, nil, []*person{guest, w.stranger(), w.admin}},
		"a mount":               {"GET", "/api/vfs/ls/" + victim.id + "/taxes", "/api/vfs/ls/" + absent + "/taxes", nil, nil, []*person{guest, w.stranger()}},
		"a file in a mount":     {"GET", "/api/vfs/read/" + victim.id + "/taxes/2026.pdf", "/api/vfs/read/" + victim.id + "/taxes/2027.pdf", nil, nil, []*person{guest, w.stranger()}},
		"a document's id":       {"GET", "/files?id=eq." + id, "/files?id=eq." + absent, nil, nil, []*person{guest}},
		"a document to delete":  {"DELETE", "/files?id=eq." + id, "/files?id=eq." + absent, nil, nil, []*person{guest}},
		"an address and a word": {"POST", "/rpc/login", "/rpc/login", object{"email": victim.email, "password": "guess"}, object{"email": "nobody-" + victim.email, "password": "guess"}, []*person{w.stranger()}},
	} {
		for i, who := range c.by {
			var right, wrong []time.Duration
			tries := 15
			if c.body != nil {
				tries = 5 // more would be throttled
			}
			for range tries {
				ask := func(path string, body any) (string, time.Duration) {
					begin := time.Now()
					got := who.send(t, c.method, path, nil, body)
					return neutralised(got, victim.id, absent, bucket, other, "2026.pdf", "2027.pdf"), time.Since(begin)
				}
				a, took := ask(c.right, c.body)
				right = append(right, took)
				b, took := ask(c.no, c.wrong)
				wrong = append(wrong, took)
				if a != b {
					t.Fatalf("%s, by %d: %s; wrong it is %s", what, i, a, b)
				}
			}
			slices.Sort(right)
			slices.Sort(wrong)
			if a, b := right[tries/2], wrong[tries/2]; a > 5*b+20*time.Millisecond || b > 5*a+20*time.Millisecond {
				t.Errorf("%s, by %d: a right guess takes %v, a wrong one %v", what, i, a, b)
			}
		}
	}
	victim.retrieve(t, "taxes/2026.pdf").is(t, 200, "secret")
}

// neutralised is an answer's status and body without what was sent.
func neutralised(a answer, sent ...string) string {
	s := a.String()
	for _, part := range sent {
		s = strings.ReplaceAll(s, part, "…")
	}
	return s
}
