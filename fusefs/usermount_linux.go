package fusefs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// userMount mounts through fusermount3, as those must who are not root, and
// returns the descriptor of /dev/fuse. go-fuse would do the same but keep the
// descriptor to itself, and satchel-helper needs it.
func userMount(dir string, o Options) (fd int, err error) {
	bin, err := exec.LookPath("fusermount3")
	if err != nil {
		return -1, errors.New("fusermount3 is missing: install the package fuse3")
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "fusermount")
	options := []string{"fsname=" + escapeOption(o.FsName), "subtype=satchel", "default_permissions"}
	if o.AllowOther {
		options = append(options, "allow_other")
	}
	if o.ReadOnly {
		options = append(options, "ro")
	}
	var said bytes.Buffer
	cmd := exec.Command(bin, "-o", strings.Join(options, ","), "--", dir)
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	theirs.Close()
	if err != nil {
		return -1, fmt.Errorf("%s (fusermount3: %w)", strings.TrimSpace(said.String()), err)
	}
	return receiveDescriptor(pair[0])
}

// escapeOption writes a value for a mount option list, in which commas part options.
func escapeOption(v string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(v)
}

func receiveDescriptor(sock int) (int, error) {
	b, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(sock, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("receive /dev/fuse from fusermount3: %w", err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		return -1, errors.New("fusermount3 did not hand over /dev/fuse")
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("fusermount3 did not hand over /dev/fuse")
	}
	return fds[0], nil
}

// unmount unmounts; what userMount mounted by fusermount3.
func unmount(dir string) error {
	if os.Getuid() == 0 {
		return unix.Unmount(dir, 0)
	}
	out, err := exec.Command("fusermount3", "-u", "--", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s (fusermount3: %w)", strings.TrimSpace(string(out)), err)
	}
	return nil
}
