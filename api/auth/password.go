package auth

import (
	"runtime"
	"strings"
	"sync"

	"github.com/alexedwards/argon2id"

	"satchel/api"
)

// passwordCost is the work of checking one password (RFC 9106 section 4,
// scaled to a small server): 64 MiB of memory, two passes. Hashes carry their
// own parameters, so it may change.
var passwordCost = argon2id.Params{Memory: 64 << 10, Iterations: 2, Parallelism: 2, SaltLength: 16, KeyLength: 32}

// maxPassword is the longest password in bytes: more is no safer, only work.
const maxPassword = 1024

// HashPassword is what the database keeps of a password. An empty one, or one
// over 1024 bytes, is [api.Invalid].
func HashPassword(password string) (string, error) {
	switch {
	case password == "":
		return "", api.Errorf(api.Invalid, "the password is empty")
	case len(password) > maxPassword:
		return "", api.Errorf(api.Invalid, "the password has %d bytes; at most %d are allowed", len(password), maxPassword)
	}
	return argon2id.CreateHash(password, &passwordCost)
}

// dummyHash stands in for the hash of an account that does not exist.
var dummyHash = sync.OnceValue(func() string {
	hash, err := argon2id.CreateHash(newSecret(), &passwordCost)
	if err != nil {
		panic(err) // only a broken random source fails it
	}
	return hash
})

// verifyPassword takes the same time whether there is a hash or not.
func verifyPassword(password, hash string) bool {
	known := hash != ""
	if !known {
		hash = dummyHash()
	}
	if len(password) > maxPassword {
		password = strings.Repeat("x", maxPassword) // wrong, at the usual cost
		known = false
	}
	match, err := argon2id.ComparePasswordAndHash(password, hash)
	// Its memory is several times what the server has otherwise, and garbage
	// now: left to the pace of the collector, all else could grow to twice that
	// before the next collection.
	runtime.GC()
	return match && err == nil && known
}
