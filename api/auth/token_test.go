package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"satchel/api"
)

// testKeys is a keyring of one key, without a database.
func testKeys(t *testing.T) *Keyring {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Keyring{
		log:     slog.New(slog.DiscardHandler),
		keys:    map[string]signingKey{"k1": {private: private}},
		signing: "k1",
	}
}

func TestTokenSaysWhatWasSigned(t *testing.T) {
	k := testKeys(t)
	session, user := api.NewID(), api.NewID()
	token, err := k.sign(session, user, Admin, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.verify(t.Context(), token.Token)
	if want := (claims{session, user, Admin}); err != nil || got != want {
		t.Errorf("verify = %+v, %v; want %+v", got, err, want)
	}
	var payload map[string]any
	part, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(part, &payload); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iss", "aud", "exp", "iat", "sub", "sid", "role", "user_id"} {
		if payload[name] == nil {
			t.Errorf("the token has no %s", name)
		}
	}
}

func TestTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := testKeys(t)
		token, err := k.sign(api.NewID(), api.NewID(), Editor, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		if _, err := k.verify(t.Context(), token.Token); err != nil {
			t.Fatalf("after 59 s: %v", err)
		}
		time.Sleep(10 * time.Second)
		_, err = k.verify(t.Context(), token.Token)
		if api.KindOf(err) != api.Unauthenticated || !strings.Contains(err.Error(), "expired") {
			t.Errorf("after 69 s: %v, want expired", err)
		}
	})
}

func TestRetiredKeyVerifiesUntilItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := testKeys(t)
		token, err := k.sign(api.NewID(), api.NewID(), Editor, 5*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		key := k.keys["k1"]
		key.retired = time.Now().Add(time.Hour)
		k.keys["k1"] = key
		if _, err := k.verify(t.Context(), token.Token); err != nil {
			t.Errorf("before it retired: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := k.verify(t.Context(), token.Token); api.KindOf(err) != api.Unauthenticated {
			t.Errorf("after it retired: %v, want unauthenticated", err)
		}
	})
}

// JWT: `alg` none, HS/RS confusion, expired, wrong audience: 401.
func TestForgedTokens(t *testing.T) {
	k := testKeys(t)
	private := k.keys["k1"].private
	public := private.Public().(ed25519.PublicKey)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	user := api.NewID()
	good := func() jwt.MapClaims {
		now := time.Now()
		return jwt.MapClaims{
			"iss": "satchel", "aud": "satchel", "sub": user.String(), "user_id": user.String(), "sid": api.NewID().String(),
			"role": "admin", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}
	}
	make := func(method jwt.SigningMethod, key any, header map[string]any, change func(jwt.MapClaims)) string {
		t.Helper()
		c := good()
		if change != nil {
			change(c)
		}
		token := jwt.NewWithClaims(method, c)
		token.Header["kid"] = "k1"
		for name, value := range header {
			token.Header[name] = value
		}
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	ours := func(change func(jwt.MapClaims)) string { return make(jwt.SigningMethodEdDSA, private, nil, change) }
	set := func(name string, value any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = value } }
	without := func(name string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, name) } }
	whole := ours(nil)
	if _, err := k.verify(t.Context(), whole); err != nil {
		t.Fatalf("the table's own good token: %v", err)
	}
	parts := strings.Split(whole, ".")
	otherPayload := strings.Split(ours(set("role", "editor")), ".")[1]

	for name, token := range map[string]string{
		"empty":                       "",
		"not a token":                 "a.b.c",
		"alg none":                    make(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"alg none, signature kept":    base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k1"}`)) + "." + parts[1] + "." + parts[2],
		"HS256 with the public key":   make(jwt.SigningMethodHS256, []byte(public), nil, nil),
		"RS256":                       make(jwt.SigningMethodRS256, rsaKey, nil, nil),
		"another key":                 make(jwt.SigningMethodEdDSA, stranger, nil, nil),
		"an unknown kid":              make(jwt.SigningMethodEdDSA, private, map[string]any{"kid": "k2"}, nil),
		"a kid that is no text":       make(jwt.SigningMethodEdDSA, private, map[string]any{"kid": 1}, nil),
		"a key of its own (jwk)":      make(jwt.SigningMethodEdDSA, stranger, map[string]any{"jwk": map[string]any{"kty": "OKP"}}, nil),
		"critical headers":            make(jwt.SigningMethodEdDSA, private, map[string]any{"crit": []string{"exp"}}, nil),
		"no signature":                parts[0] + "." + parts[1] + ".",
		"a signature of another text": parts[0] + "." + otherPayload + "." + parts[2],
		"expired":                     ours(set("exp", time.Now().Add(-time.Minute).Unix())),
		"no exp":                      ours(without("exp")),
		"issued in the future":        ours(set("iat", time.Now().Add(time.Hour).Unix())),
		"not valid yet":               ours(set("nbf", time.Now().Add(time.Hour).Unix())),
		"wrong audience":              ours(set("aud", "other")),
		"no audience":                 ours(without("aud")),
		"wrong issuer":                ours(set("iss", "other")),
		"no issuer":                   ours(without("iss")),
		"no session":                  ours(without("sid")),
		"a session that is no UUID":   ours(set("sid", "1")),
		"no user":                     ours(without("user_id")),
		"sub of another user":         ours(set("sub", api.NewID().String())),
		"an unknown role":             ours(set("role", "superuser")),
		"no role":                     ours(without("role")),
		"too long":                    ours(set("x", strings.Repeat("x", 5000))),
		"trailing bits":               whole + "=",
		"four parts":                  whole + ".x",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := k.verify(t.Context(), token); api.KindOf(err) != api.Unauthenticated {
				t.Errorf("verify = %+v, %v; want unauthenticated", got, err)
			}
		})
	}
	for _, role := range []string{"authenticated", "webuser", "editor"} {
		if got, err := k.verify(t.Context(), ours(set("role", role))); err != nil || got.role != Editor {
			t.Errorf("a token that says %s means %q, %v; want editor", role, got.role, err)
		}
	}
}
