package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"satchel/api/auth"
)

// oidcFlags name an OpenID Connect provider that signs people in.
type oidcFlags struct {
	OIDCIssuer           string `setting:"" name:"oidc-issuer" placeholder:"URL" help:"Let people sign in by this OpenID Connect provider too. Register URL/oidc/end with it as where to lead back to."`
	OIDCClientID         string `setting:"" name:"oidc-client-id" placeholder:"ID" help:"What the provider calls this server."`
	OIDCClientSecret     string `setting:"" name:"oidc-client-secret" placeholder:"SECRET" help:"What it shares with this server; best given by the environment, or by --oidc-client-secret-file."`
	OIDCClientSecretFile string `setting:"" name:"oidc-client-secret-file" placeholder:"FILE" help:"A file with the secret."`
	OIDCName             string `setting:"" name:"oidc-name" placeholder:"NAME" help:"What people call the provider; by default its host."`
	OIDCSignup           bool   `setting:"" name:"oidc-signup" help:"Make an account for whoever the provider knows with a verified address; by default the account must be there."`
}

// isAddress tells whether a URL is that of a server of the web.
func isAddress(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (strings.HasPrefix(address, "https:") || strings.HasPrefix(address, "http:"))
}

// checkOIDC finds wrong usage, and reads what the flags name.
func (f *oidcFlags) checkOIDC() error {
	if f.OIDCIssuer == "" {
		if f.OIDCClientID != "" || f.OIDCSignup {
			return usageError{"--oidc-client-id and --oidc-signup go with --oidc-issuer"}
		}
		return nil
	}
	if !isAddress(f.OIDCIssuer) {
		return usageError{fmt.Sprintf("--oidc-issuer %s is not an address such as https://login.example.org", f.OIDCIssuer)}
	}
	if f.OIDCClientID == "" {
		return usageError{"--oidc-issuer needs --oidc-client-id"}
	}
	if f.OIDCClientSecretFile != "" {
		b, err := os.ReadFile(f.OIDCClientSecretFile)
		if err != nil {
			return usageError{"--oidc-client-secret-file: " + err.Error()}
		}
		f.OIDCClientSecret = strings.TrimSpace(string(b))
	}
	if f.OIDCName == "" {
		issuer, _ := url.Parse(f.OIDCIssuer)
		f.OIDCName = issuer.Hostname()
	}
	return nil
}

// provider is nil without --oidc-issuer.
func (f *oidcFlags) provider(a *auth.Auth) *auth.OIDC {
	if f.OIDCIssuer == "" {
		return nil
	}
	return auth.NewOIDC(a, auth.OIDCConfig{Issuer: f.OIDCIssuer, ClientID: f.OIDCClientID, Secret: f.OIDCClientSecret, Name: f.OIDCName, Signup: f.OIDCSignup})
}
