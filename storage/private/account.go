package private

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"satchel/api"
)

// account is the operating system's user that postgres runs as.
type account struct {
	name     string
	uid, gid uint32
	switched bool // it is not our own: we are root
}

// serverAccount is our own user, since postgres refuses to be root: started by
// root it is the owner of the cluster, or the user postgres for a new one.
func serverAccount(data string) (account, error) {
	if os.Getuid() != 0 {
		u, err := user.Current()
		if err != nil {
			return account{}, api.Errorf(api.Invalid, "PostgreSQL needs a user with a name: %w", err)
		}
		return account{name: u.Username, uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}, nil
	}
	var u *user.User
	var err error
	if st, statErr := os.Stat(data); statErr == nil && st.Sys().(*syscall.Stat_t).Uid != 0 {
		u, err = user.LookupId(strconv.Itoa(int(st.Sys().(*syscall.Stat_t).Uid)))
	} else {
		u, err = user.Lookup("postgres")
	}
	if err != nil {
		return account{}, api.Errorf(api.Invalid, "PostgreSQL does not run as root, and there is no other user for it (%w): install the package postgresql, or start satcheld as an ordinary user", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, err
	}
	return account{name: u.Username, uid: uint32(uid), gid: uint32(gid), switched: true}, nil
}

// attr makes a child run as the account, out of reach of the terminal.
func (a account) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.switched {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
	}
	return attr
}

// mkdir makes a directory that is the account's alone, or checks that it is.
func (a account) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	sys := st.Sys().(*syscall.Stat_t)
	if a.switched && sys.Uid == 0 && st.IsDir() {
		if err := os.Lchown(dir, int(a.uid), int(a.gid)); err != nil {
			return err
		}
		sys.Uid = a.uid
	}
	if !st.IsDir() || sys.Uid != a.uid || st.Mode().Perm()&0o077 != 0 {
		return api.Errorf(api.Invalid, "%s must be a directory of the user %s alone (mode 0700)", dir, a.name)
	}
	return nil
}

// canEnter tells whether the account can enter a directory, by doing so: mode
// bits alone know nothing of ACLs and mount options.
func (a account) canEnter(dir, program string) bool {
	cmd := exec.Command(program, "--version")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, []string{}, a.attr()
	return cmd.Run() == nil
}

// checkPath names the first directory of a path that the account can't enter.
func (a account) checkPath(path, program string) error {
	if !a.switched || a.canEnter(path, program) {
		return nil
	}
	if !a.canEnter("/", program) {
		return api.Errorf(api.Invalid, "the user %s, as which PostgreSQL runs, can't run %s", a.name, program)
	}
	blocked := path
	for dir := path; dir != "/" && !a.canEnter(dir, program); dir = filepath.Dir(dir) {
		blocked = dir
	}
	return api.Errorf(api.Invalid, "the user %s, as which PostgreSQL runs, can't enter %s: chmod o+x it, or choose another --data", a.name, blocked)
}

// userName is the name of a uid, or its number.
func userName(uid uint32) string {
	id := strconv.Itoa(int(uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
