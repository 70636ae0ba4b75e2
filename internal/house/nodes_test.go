package house_test

import "context"

func serveNode(ctx context.Context, t task) error { return nil }
