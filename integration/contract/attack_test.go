package contract

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// siege is an attacker, whom he attacks, and what must never be seen.
type siege struct {
	w            *world
	you, victim  *person
	values       map[string]string // of placeholders: the attacker's own
	theirs       map[string]string // the same of the victim
	canary       string
	connection   net.Conn
	reader       *bufio.Reader
	worst        time.Duration
	worstRequest string
}

func newSiege(t *testing.T, w *world) *siege {
	t.Helper()
	s := &siege{w: w, you: w.newPerson(t), victim: w.newPerson(t), canary: "CANARY-7d1f"}
	s.you.store(t, "notes/today.txt", "Buy bread.\n")
	own := s.you.store(t, "notes/own.txt", "own")
	s.victim.store(t, "notes/today.txt", s.canary)
	secret := s.victim.store(t, s.canary+"/secret.txt", s.canary)
	s.values = s.drive(t, s.you, own, "notes/own.txt")
	s.theirs = s.drive(t, s.victim, secret, s.canary+"/secret.txt")
	for name, value := range map[string]string{"you": s.you.id, "friend": s.victim.id, "document": own, "home": s.values["drive"]} {
		s.values[name] = value
	}
	return s
}

// drive is what a person's drive has, by the names that paths give it.
func (s *siege) drive(t *testing.T, p *person, document, path string) map[string]string {
	t.Helper()
	var drive struct{ ID, Root string }
	must(t, json.Unmarshal(p.get(t, "/v1/drives/home").body, &drive))
	var node struct{ ID, Version string }
	must(t, json.Unmarshal(p.get(t, "/v1/drives/home/lookup?path="+path).body, &node))
	return map[string]string{
		"drive": drive.ID, "root": drive.Root, "node": node.ID, "version": node.Version, "document": document, "device": p.claims(t)["sid"].(string),
	}
}

// send makes a request over a connection of its own making, since net/http
// would mend what an attacker does not.
func (s *siege) send(t *testing.T, c call, raw map[string]string) (status int, header string, body string) {
	t.Helper()
	var content []byte
	switch b := c.body.(type) {
	case object:
		content, _ = json.Marshal(b)
		if c.header.Get("Content-Type") == "" {
			c.header.Set("Content-Type", "application/json")
		}
	case string:
		content = []byte(b)
	}
	var req bytes.Buffer
	fmt.Fprintf(&req, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n", c.method, c.url(raw), s.w.server.Addr, s.you.token, len(content))
	for name, values := range c.header {
		for _, v := range values {
			if name != "Authorization" && name != "Content-Length" {
				fmt.Fprintf(&req, "%s: %s\r\n", name, v)
			}
		}
	}
	req.WriteString("\r\n")
	req.Write(content)
	begin := time.Now()
	for try := range 2 {
		if s.connection == nil {
			conn, err := net.Dial("tcp", s.w.server.Addr)
			must(t, err)
			s.connection, s.reader = conn, bufio.NewReader(conn)
		}
		s.connection.SetDeadline(time.Now().Add(30 * time.Second))
		_, err := s.connection.Write(req.Bytes())
		var res *http.Response
		if err == nil {
			res, err = http.ReadResponse(s.reader, &http.Request{Method: c.method})
		}
		if err != nil {
			s.connection.Close()
			s.connection = nil
			if try == 0 { // the server ends a connection whose request it did not read
				continue
			}
			t.Fatalf("%s %s: %v", c.method, c.url(raw), err)
		}
		var got, head bytes.Buffer
		got.ReadFrom(res.Body)
		res.Body.Close()
		res.Header.Write(&head)
		if res.Close {
			s.connection.Close()
			s.connection = nil
		}
		if took := time.Since(begin); took > s.worst {
			s.worst, s.worstRequest = took, c.method+" "+c.url(raw)
		}
		return res.StatusCode, head.String(), got.String()
	}
	panic("unreachable")
}

// betrayals are parts of answers that tell of another one's files, of this
// machine, or of our insides.
func (s *siege) betrayals() []string {
	return []string{s.canary, s.victim.email, "root:x:0", "SQLSTATE", "syntax error at or near", "jackc/pgx", "pgconn", "goroutine ", "runtime error", "argon2id$", "/go/src", "satchel_auth"}
}

// holds is an error if an answer betrays anything, or is a fault of ours. What
// was sent may come back.
func (s *siege) holds(what string, status int, header, body, sent string) error {
	if status >= 500 && status != http.StatusServiceUnavailable && status != http.StatusInsufficientStorage || status < 100 {
		return fmt.Errorf("%s: %d %.300s", what, status, body)
	}
	if strings.Contains("\n"+header, "\nX-Evil:") || strings.Contains(header, "Set-Cookie: x=y") {
		return fmt.Errorf("%s: %d has a header of the attacker's: %.300s", what, status, header)
	}
	for _, secret := range s.betrayals() {
		if strings.Contains(header+body, secret) && !strings.Contains(sent, secret) {
			return fmt.Errorf("%s: %d betrays %q: %.300s", what, status, secret, body)
		}
	}
	return nil
}

// Hostile values for every place of every request.
func (s *siege) hostile() []string {
	all := []string{
		// paths
		"../" + s.victim.id + "/notes/today.txt", "..", "../../../../etc/passwd", "/etc/passwd", "....//....//etc/passwd", `..\..\etc\passwd`, "%2e%2e%2fetc%2fpasswd",
		"%252e%252e%252fetc", "..%c0%af..%c0%afetc", "file:///etc/passwd", "a/\x00/../b", "a\x00.txt", strings.Repeat("../", 2000), strings.Repeat("a/", 5000), "//", ".",
		s.victim.id + "/notes/today.txt", s.theirs["drive"], s.theirs["node"], s.theirs["document"], s.theirs["version"], s.theirs["device"],
		// SQL
		"'", `"`, "' OR '1'='1", "' OR 1=1 --", "1; DROP TABLE satchel.users; --", "' UNION SELECT password_hash FROM satchel.users --", "1) OR (1=1", "$$", `\`, `\'`,
		"'||pg_sleep(5)||'", "1 AND (SELECT pg_sleep(5)) IS NOT NULL", "eq.' OR 1=1 --", "in.(select id from satchel.users)", "like.%", "eq." + s.theirs["document"], "in.(" + s.theirs["document"] + ")",
		"not.is.null", "id.desc;select 1", "*,users(*)", "count(*)", "file_path::text", "or=(id.eq.1)", "satchel.user_id",
		// headers, markup, templates
		"a\r\nX-Evil: 1", "a\nSet-Cookie: x=y", "<script>alert(1)</script>", "{{7*7}}", "${7*7}", "%s%n%x", "\u202e\u0000", "\xff\xfe", "\U0010FF80", "🎒",
		// numbers and types
		"-1", "0", "1e400", "9223372036854775808", "NaN", "true", "null", "[]", "{}", "00000000-0000-0000-0000-000000000000", "", " ", strings.Repeat("A", 20000),
	}
	return all
}

// TestHostileValues puts hostile values into every parameter, header and body
// that the description has. No foreign byte, no 500, no sleep.
func TestHostileValues(t *testing.T) {
	w := worldOf(t, "siege")
	s := newSiege(t, w)
	n := 0
	for _, o := range describedOperations(t, w) {
		if o.id == "rpc-logout" || o.id == "logout" { // without parameters, and it would end the attack
			continue
		}
		t.Run(o.id, func(t *testing.T) {
			base := o.baseline(s.values)
			try := func(what string, c call, raw map[string]string, sent string) {
				n++
				status, header, body := s.send(t, c, raw)
				if err := s.holds(fmt.Sprintf("%s %s with %.80q in %s", o.method, o.path, sent, what), status, header, body, sent); err != nil {
					t.Error(err)
				}
			}
			for _, value := range s.hostile() {
				for _, p := range o.params {
					c := base.clone()
					switch p.in {
					case "path":
						c.in[p.name] = value
						try("path "+p.name, c, nil, value)
						if requestLine(value) {
							try("path as it stands "+p.name, c, map[string]string{p.name: value}, value)
						}
					case "query":
						c.query.Set(p.name, value)
						try("query "+p.name, c, nil, value)
					case "header":
						if headerLine(value) {
							c.header.Set(p.name, value)
							try("header "+p.name, c, nil, value)
						}
					}
				}
				for _, field := range o.fields {
					if _, ok := base.body.(object); ok {
						c := base.clone()
						c.body.(object)[field] = value
						try("body "+field, c, nil, value)
						c = base.clone()
						c.body.(object)[field] = []any{value, object{"a": value}}
						try("body "+field+", a list", c, nil, value)
					}
				}
				if o.bodyType != "" {
					c := base.clone()
					c.body = value
					try("the whole body", c, nil, value)
				}
				c := base.clone()
				c.query.Set("nothing", value)
				c.query.Set(value, "1")
				try("an unknown parameter", c, nil, value)
			}
		})
	}
	t.Logf("%d requests; the slowest took %v: %.200s", n, s.worst, s.worstRequest)
	if s.worst > 4500*time.Millisecond && strings.Contains(s.worstRequest, "pg_sleep") {
		t.Errorf("a statement slept: %v, %s", s.worst, s.worstRequest)
	}
	// All is as it was.
	s.victim.retrieve(t, "notes/today.txt").is(t, 200, s.canary)
	s.victim.retrieve(t, s.canary+"/secret.txt").is(t, 200, s.canary)
	s.victim.get(t, "/rpc/current_user").is(t, 200, s.victim.email)
	if got := s.victim.paths(t, "order=file_path"); got != s.canary+"/secret.txt notes/today.txt" {
		t.Errorf("the victim's files are %s", got)
	}
}

// requestLine tells whether a value can stand in a request line at all.
func requestLine(s string) bool { return s != "" && !strings.ContainsAny(s, " \r\n\x00?#") }

// headerLine tells whether a value can be sent as a header's.
func headerLine(s string) bool { return !strings.ContainsAny(s, "\r\n") }
