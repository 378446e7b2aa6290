package auth

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/api"
)

// How a token of the fuzz test is signed.
const (
	signedByUs   = iota
	signedByHMAC // with the public key as its secret
	signedByAnother
	signedByNobody
	signedTwice // a second signature behind the first
	signatures
)

// A token is accepted only if a key of ours signed it by EdDSA and it says all
// that ours say, as read by encoding/json and crypto/ed25519 alone.
func FuzzVerify(f *testing.F) {
	ours, others := ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))
	keys := &Keyring{signing: "k", loaded: time.Now(), keys: map[string]signingKey{
		"k": {private: ours}, "old": {private: others, retired: time.Now().Add(-time.Second)},
	}}
	session, user := api.NewID(), api.NewID()
	header, _ := json.Marshal(map[string]any{"alg": "EdDSA", "kid": "k", "typ": "JWT"})
	claims, err := json.Marshal(map[string]any{"iss": issuer, "aud": audience, "sub": user.String(), "user_id": user.String(),
		"sid": session.String(), "role": Editor, "iat": 1, "exp": 1 << 40})
	if err != nil {
		f.Fatal(err)
	}
	for how := range signatures {
		f.Add(string(header), string(claims), byte(how), "")
	}
	f.Add(`{"alg":"none"}`, string(claims), byte(signedByNobody), "")
	f.Add(`{"alg":"EdDSA","kid":"old"}`, string(claims), byte(signedByAnother), "")
	f.Add(`{"alg":"EdDSA","kid":"k","crit":["exp"]}`, string(claims), byte(signedByUs), "")
	f.Add(`{"alg":"HS256","kid":"k"}`, string(claims), byte(signedByHMAC), "")
	f.Add(string(header), string(claims), byte(signedByUs), "=")
	f.Add(string(header), strings.Replace(string(claims), `"exp":1099511627776`, `"exp":1`, 1), byte(signedByUs), "")
	f.Fuzz(func(t *testing.T, header, payload string, how byte, rest string) {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		var signature []byte
		switch how % signatures {
		case signedByUs, signedTwice:
			signature = ed25519.Sign(ours, []byte(text))
		case signedByHMAC:
			mac := hmac.New(sha256.New, ours.Public().(ed25519.PublicKey))
			mac.Write([]byte(text))
			signature = mac.Sum(nil)
		case signedByAnother:
			signature = ed25519.Sign(others, []byte(text))
		}
		if how%signatures == signedTwice {
			signature = append(signature, signature...)
		}
		token := text + "." + base64.RawURLEncoding.EncodeToString(signature) + rest
		got, err := keys.verify(t.Context(), token)
		if err != nil {
			if api.KindOf(err) != api.Unauthenticated {
				t.Fatalf("refused with kind %s: %v", api.KindOf(err), err)
			}
			return
		}
		if how%signatures != signedByUs || rest != "" {
			t.Fatalf("a token signed in the way %d, with %q behind it, is accepted", how%signatures, rest)
		}
		var head map[string]any
		if err := json.Unmarshal([]byte(header), &head); err != nil || head["alg"] != "EdDSA" || head["kid"] != "k" || head["crit"] != nil {
			t.Fatalf("the header %s is accepted", header)
		}
		var says struct {
			Iss, Sub, Sid, Role string
			User                string `json:"user_id"`
			Exp                 json.Number
			Aud                 json.RawMessage
		}
		if err := json.Unmarshal([]byte(payload), &says); err != nil {
			t.Fatalf("%s is accepted: %v", payload, err)
		}
		var all []string
		if json.Unmarshal(says.Aud, &all) != nil {
			all = []string{strings.Trim(string(says.Aud), `"`)}
		}
		expires, err := says.Exp.Float64()
		if says.Iss != issuer || !slices.Contains(all, audience) || err != nil || expires < float64(time.Now().Add(-clockSkew-time.Second).Unix()) {
			t.Fatalf("%s is accepted", payload)
		}
		if got.user.IsZero() || got.session.IsZero() || !strings.EqualFold(says.Sub, got.user.String()) || !strings.EqualFold(says.User, got.user.String()) ||
			!strings.EqualFold(says.Sid, got.session.String()) || got.role != Editor && got.role != Admin {
			t.Fatalf("%s is taken for %+v", payload, got)
		}
	})
}

// Codes that people type are cleaned to one form.
func FuzzUserCode(f *testing.F) {
	f.Add("abcd-efgh")
	f.Add(" ABCD EFGH ")
	f.Fuzz(func(t *testing.T, s string) {
		clean := cleanUserCode(s)
		if again := cleanUserCode(clean); again != clean {
			t.Fatalf("%q became %q and then %q", s, clean, again)
		}
		if len(clean) > len(s)+1 {
			t.Fatalf("%q grew to %q", s, clean)
		}
		name := deviceName(s)
		if len(name) > maxDeviceName || name == "" || deviceName(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
			t.Fatalf("the device %q is called %q", s, name)
		}
	})
}
