package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"

	"satchel/api"
)

// places are the directories of the XDG Base Directory specification, each
// for this program alone.
type places struct {
	config  string // logins and the configuration file
	cache   string // caches of drives
	state   string // logs, and which drives are mounted
	runtime string // sockets; "" when the session has none
}

func findPlaces() (places, error) {
	home, homeErr := os.UserHomeDir()
	var missing error
	dir := func(variable, under string) string {
		// The specification: a relative path is to be ignored.
		if d := os.Getenv(variable); filepath.IsAbs(d) {
			return filepath.Join(d, "satchel")
		}
		if homeErr != nil {
			missing = errors.New("there is no home directory: set HOME")
		}
		return filepath.Join(home, under, "satchel")
	}
	p := places{
		config: dir("XDG_CONFIG_HOME", ".config"),
		cache:  dir("XDG_CACHE_HOME", ".cache"),
		state:  dir("XDG_STATE_HOME", ".local/state"),
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		p.runtime = filepath.Join(d, "satchel")
	}
	return p, missing
}

func (p places) configFile() string { return filepath.Join(p.config, "config") }

func (p places) credentials(profile string) string {
	return filepath.Join(p.config, profile+".json")
}

func (p places) log(profile string) string { return filepath.Join(p.state, profile+".log") }

// mounts holds a file for each running daemon.
func (p places) mounts() string { return filepath.Join(p.state, "mounts") }

// cacheDir is where the cache of a user on a server is made; [shell.cacheOf] finds it
// again. Profiles other than the default are devices of their own, so each has its own.
func (p places) cacheDir(server string, user api.ID, profile string) string {
	key := server + "\n" + user.String()
	if profile != "default" {
		key += "\n" + profile
	}
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(p.cache, hex.EncodeToString(sum[:10]))
}
