package pickup

import "golang.org/x/sys/unix"

const canAsk = true

// pending is how many bytes the other side has not acknowledged, and whether
// it has reset the connection: a program that ends with unread bytes does.
func (w *wire) pending() (bytes int, reset bool, err error) {
	failed := w.raw.Control(func(fd uintptr) {
		if bytes, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err != nil {
			return
		}
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			reset = info.State == unix.BPF_TCP_CLOSE
		}
	})
	if err == nil {
		err = failed
	}
	return bytes, reset, err
}
