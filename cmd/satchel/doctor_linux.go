package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"satchel/cache"
)

// passthroughKernel is the first Linux with FUSE passthrough.
var passthroughKernel = [2]int{6, 9}

func (cmd *doctorCmd) lookAtPassthrough(sh *shell) finding {
	f := cmd.lookForPassthrough(sh)
	if copied := (helperPlace{"/"}).stale(); f.State == ok && copied != "" {
		f.State, f.Do = warned, "replace it with: sudo satchel helper install"
		f.Found += "; but " + copied + " is not the satchel-helper that came with this program"
	}
	return f
}

// stale is the helper that install has copied, if it is another one than would be installed now; else "".
func (p helperPlace) stale() string {
	mine, err := (&helperInstallCmd{helperPlace: p}).program()
	if err != nil || !p.copied() {
		return ""
	}
	copied := p.path(helperBinary)
	a, errA := os.ReadFile(copied)
	b, errB := os.ReadFile(mine)
	if errA != nil || errB != nil || bytes.Equal(a, b) {
		return ""
	}
	return copied
}

func (cmd *doctorCmd) lookForPassthrough(sh *shell) finding {
	without, cached := "", ""
	for _, m := range sh.mine() {
		if !m.alive() {
			continue
		}
		ctx, cancel := context.WithTimeout(sh.ctx, doctorPatience)
		r, err := m.ask(ctx, controlRequest{Op: opStatus}, nil)
		cancel()
		if err == nil && r.Passthrough {
			return finding{State: ok, Found: "the kernel reads and writes local content of " + m.Mountpoint + " itself"}
		}
		if err == nil {
			without, cached = m.Mountpoint, m.CacheDir
		}
	}
	if have := kernelVersion(); slices.Compare(have[:], passthroughKernel[:]) < 0 {
		return finding{State: warned, Found: fmt.Sprintf("Linux %d.%d has none: content goes through the daemon, a little slower", have[0], have[1]),
			Do: fmt.Sprintf("use Linux %d.%d or newer", passthroughKernel[0], passthroughKernel[1])}
	}
	if without != "" && !cache.Leases(cached) {
		return finding{State: warned, Found: "the file system of " + cached + " gives no leases, as NFS and SMB: content goes through the daemon, a little slower",
			Do: "mount with --cache-dir on a local disk"}
	}
	if os.Geteuid() == 0 && without != "" {
		return finding{State: warned, Found: without + " is mounted without it: content goes through the daemon, a little slower",
			Do: "unless that is wanted (--no-passthrough): see why in " + sh.places.log(sh.profile)}
	}
	if os.Geteuid() == 0 {
		return finding{State: ok, Found: "root's mounts have it"}
	}
	c, err := net.Dial("unixpacket", cmd.HelperSocket)
	if err != nil {
		return finding{State: warned, Found: "satchel-helper does not run: content goes through the daemon, a little slower",
			Do: "let it run with: sudo satchel helper install\nthen unmount and mount again"}
	}
	c.Close()
	if without != "" {
		return finding{State: warned, Found: without + " does not use satchel-helper, which listens now: content goes through the daemon, a little slower",
			Do: "open a file there, which finds a helper that was restarted; or unmount and mount again"}
	}
	return finding{State: ok, Found: "mounts will have it: satchel-helper listens at " + cmd.HelperSocket}
}

func kernelVersion() (v [2]int) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &v[0], &v[1])
	}
	return v
}

func lookAtSearch(*shell) finding {
	b, err := os.ReadFile(updatedbConf)
	switch {
	case err != nil:
		return finding{State: ok, Found: "no updatedb reads the drive at night"}
	case !bytes.Contains(b, []byte(fsType)):
		return finding{State: warned, Found: "updatedb walks through the drive at night",
			Do: "keep it out with: sudo satchel helper install, or add " + fsType + " to PRUNEFS in " + updatedbConf}
	}
	return finding{State: ok, Found: "updatedb leaves the drive out"}
}
