package contract

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// part is a part of the person's token: 0 its header, 1 its claims.
func (p *person) part(t *testing.T, i int) (part object) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(p.token, ".")[i])
	must(t, err)
	must(t, json.Unmarshal(b, &part))
	return part
}

func (p *person) claims(t *testing.T) object { return p.part(t, 1) }

func encode(t *testing.T, part object) string {
	t.Helper()
	b, err := json.Marshal(part)
	must(t, err)
	return base64.RawURLEncoding.EncodeToString(b)
}

// forgeries are tokens that say what a person's own says, or more, and that the
// server did not sign. (What it would sign and must not take, as an expired one,
// is in package auth, where the key is.)
func forgeries(t *testing.T, p *person) map[string]string {
	t.Helper()
	parts := strings.Split(p.token, ".")
	header, claims := p.part(t, 0), p.part(t, 1)
	with := func(o object, name string, value any) object {
		out := object{}
		for k, v := range o {
			out[k] = v
		}
		out[name] = value
		return out
	}
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signed := func(header, claims object) string {
		text := encode(t, header) + "." + encode(t, claims)
		return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(stranger, []byte(text)))
	}
	mac := func(key []byte) string {
		text := encode(t, with(header, "alg", "HS256")) + "." + encode(t, claims)
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
	all := map[string]string{
		"alg none":               encode(t, with(header, "alg", "none")) + "." + parts[1] + ".",
		"alg None, signed":       encode(t, with(header, "alg", "None")) + "." + parts[1] + "." + parts[2],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"HS256, an empty key":    mac(nil),
		"HS256, keyed by kid":    mac([]byte(header["kid"].(string))),
		"RS256":                  encode(t, with(header, "alg", "RS256")) + "." + parts[1] + "." + parts[2],
		"expired a year ago":     parts[0] + "." + encode(t, with(claims, "exp", time.Now().Add(-365*24*time.Hour).Unix())) + "." + parts[2],
		"for ever":               parts[0] + "." + encode(t, with(claims, "exp", time.Now().Add(365*24*time.Hour).Unix())) + "." + parts[2],
		"wrong audience":         parts[0] + "." + encode(t, with(claims, "aud", "other")) + "." + parts[2],
		"role admin":             parts[0] + "." + encode(t, with(claims, "role", "admin")) + "." + parts[2],
		"another key":            signed(header, claims),
		"a key of its own":       signed(with(header, "jwk", object{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(stranger.Public().(ed25519.PublicKey))}), claims),
		"a key elsewhere":        signed(with(header, "jku", "https://evil.example/keys"), claims),
		"a certificate":          signed(with(header, "x5c", []string{"AAAA"}), claims),
		"critical headers":       signed(with(header, "crit", []string{"exp"}), claims),
		"no kid":                 signed(object{"alg": "EdDSA", "typ": "JWT"}, claims),
		"two signatures":         p.token + "." + parts[2],
		"empty":                  ".." + "",
		"a changed last letter":  p.token[:len(p.token)-2] + flip(p.token[len(p.token)-2:]),
		"white space in between": parts[0] + ". " + parts[1] + "." + parts[2],
	}
	for what, kid := range map[string]any{
		"a path": "../../../../dev/null", "SQL": "x' UNION SELECT 'a', 'b', now(), NULL --", "a number": 7, "a list": []string{"a"}, "nothing": nil, "empty": "", "a URL": "https://evil.example/k", "a NUL": "a\x00b", "long": strings.Repeat("k", 3000),
	} {
		all["kid is "+what] = signed(with(header, "kid", kid), claims)
	}
	return all
}

// flip changes the first of two letters.
func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}
