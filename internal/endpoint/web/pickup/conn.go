package pickup

import (
	"context"
	"net"
	"syscall"
)

type wireKey struct{}

// A wire is the TCP connection below a request, to ask the kernel about.
type wire struct{ raw syscall.RawConn }

// ConnContext belongs into [http.Server.ConnContext]: it lets a download see
// when its bytes have been acknowledged. Without it, or on a connection that is
// not TCP, a download counts as done once its last byte was handed to the
// kernel while the client was there. Behind a proxy the acknowledgement is the
// proxy's.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	for c != nil {
		if tcp, ok := c.(*net.TCPConn); ok {
			raw, err := tcp.SyscallConn()
			if err != nil || !canAsk {
				return ctx
			}
			return context.WithValue(ctx, wireKey{}, &wire{raw})
		}
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ctx
		}
		c = inner.NetConn()
	}
	return ctx
}

func wireOf(ctx context.Context) *wire {
	w, _ := ctx.Value(wireKey{}).(*wire)
	return w
}
