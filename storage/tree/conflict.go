package tree

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"satchel/api"
)

// aside chooses a conflict name for a node whose place is taken, tells its
// author, and lets later mutations of the batch find it.
func (s *Set) aside(taken Key, n *Inode, time int64, o *api.Outcome) Key {
	k := s.vacant(taken, n.Type, time)
	s.placed[Entry{taken, n.ID}] = k
	*o = api.Outcome{Status: api.Adjusted, Conflict: n.ID, Name: k.Name}
	return k
}

// vacant is a free conflict name beside an entry.
func (s *Set) vacant(k Key, t api.Type, time int64) Key {
	for count := 1; ; count++ {
		free := Key{k.Parent, conflictName(k.Name, t, s.env.DeviceName, time, count)}
		if s.at(free).IsZero() || s.err != nil {
			return free
		}
	}
}

// Longest parts of a conflict name in bytes.
const (
	maxExtension = 32
	maxDevice    = 64
)

// conflictName is `name (conflict, DEVICE, 2006-01-02 15.04).ext`, with a
// counter from the second on. The time is the device's, in UTC. The name is cut
// between runes so that all of it fits [api.MaxName] bytes; the extension is
// kept. Directories have no extension.
func conflictName(name api.Name, t api.Type, device string, ns int64, count int) api.Name {
	base, ext := string(name), ""
	if t != api.Directory {
		if ext = path.Ext(base); ext == base || ext == "." || len(ext) > maxExtension {
			ext = ""
		}
		base = strings.TrimSuffix(base, ext)
	}
	label := fmt.Sprintf(" (conflict, %s, %s", cleanDevice(device), time.Unix(0, ns).UTC().Format("2006-01-02 15.04"))
	if count > 1 {
		label += fmt.Sprintf(", %d", count)
	}
	label += ")"
	return api.Name(Cut(base, api.MaxName-len(label)-len(ext)) + label + ext)
}

var conflictForm = regexp.MustCompile(`(?s)^(.*) \(conflict, (.+), \d{4}-\d\d-\d\d \d\d\.\d\d(?:, \d+)?\)(\.[^.]*)?$`)

// ConflictOf reads a conflict copy's name: what it is a copy of, and the device
// that made it. A name that was cut to fit does not tell all of the first.
func ConflictOf(name api.Name) (of api.Name, device string, ok bool) {
	m := conflictForm.FindStringSubmatch(string(name))
	if m == nil || m[1]+m[3] == "" {
		return "", "", false
	}
	return api.Name(m[1] + m[3]), m[2], true
}

// cleanDevice is a device's name as part of a file's.
func cleanDevice(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	if name = strings.TrimSpace(Cut(name, maxDevice)); name == "" {
		return "device"
	}
	return name
}

// Cut shortens s to at most n bytes without cutting a rune.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
