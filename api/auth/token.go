package auth

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"satchel/api"
)

// What our tokens say in iss and aud.
const (
	issuer   = "satchel"
	audience = "satchel"
)

// maxToken is the longest token in bytes that is looked at.
const maxToken = 4096

// clockSkew is how far the clocks of two servers may be apart.
const clockSkew = 5 * time.Second

// tokenClaims is a token's payload (RFC 7519 section 4).
type tokenClaims struct {
	jwt.RegisteredClaims
	Session api.ID `json:"sid"`
	User    api.ID `json:"user_id"`
	Role    string `json:"role"`
}

// claims is what a valid token says.
type claims struct {
	session, user api.ID
	role          string
}

// sign makes a token for a session.
func (k *Keyring) sign(session, user api.ID, role string, ttl time.Duration) (api.Token, error) {
	now := time.Now()
	expires := now.Add(ttl).Truncate(time.Second)
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, tokenClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: user.String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Session: session, User: user, Role: role,
	})
	id, key := k.signer()
	token.Header["kid"] = id
	text, err := token.SignedString(key)
	return api.Token{Token: text, Expires: expires}, err
}

// verify reads a token strictly: EdDSA only, by a key of ours that its kid
// names, for us, not expired. All else is [api.Unauthenticated].
func (k *Keyring) verify(ctx context.Context, token string) (claims, error) {
	var c tokenClaims
	if len(token) > maxToken {
		return claims{}, api.Errorf(api.Unauthenticated, "the token is too long")
	}
	_, err := jwt.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // RFC 7515 section 4.1.11: we understand none
			return nil, errors.New("the token has critical headers")
		}
		id, ok := t.Header["kid"].(string)
		if !ok {
			return nil, errors.New("the token names no key")
		}
		key := k.verifier(ctx, id)
		if key == nil {
			return nil, errors.New("the token's key is unknown")
		}
		return key, nil
	},
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockSkew),
		jwt.WithStrictDecoding())
	if errors.Is(err, jwt.ErrTokenExpired) {
		return claims{}, api.Errorf(api.Unauthenticated, "the token has expired")
	}
	if err != nil {
		return claims{}, api.Errorf(api.Unauthenticated, "the token is not valid: %w", err)
	}
	role, known := rights[c.Role]
	if !known || c.Session.IsZero() || c.User.IsZero() || c.Subject != c.User.String() {
		return claims{}, api.Errorf(api.Unauthenticated, "the token does not say whose it is")
	}
	return claims{session: c.Session, user: c.User, role: role}, nil
}

// rights maps the roles that a token may claim to those that we know.
var rights = map[string]string{
	Editor: Editor, Admin: Admin,
	"authenticated": Editor, "webuser": Editor,
}
