package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	cri "k8s.io/cri-client/pkg"
)

// drain stops and removes every pod sandbox of a container runtime, all at once, through the
// Container Runtime Interface, so that the network plugins take back addresses, links and
// port mappings. It prints one line a sandbox that could not be removed and then exits with 1.
func drain(args []string) int {
	flags := flag.NewFlagSet("drain", flag.ExitOnError)
	endpoint := flags.String("endpoint", "", "unix:// address of the container runtime")
	timeout := flags.Duration("timeout", 20*time.Second, "how long one call may take")
	_ = flags.Parse(args)

	runtime, err := cri.NewRemoteRuntimeService(*endpoint, *timeout, nil, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "localnode drain: connect:", err)
		return 1
	}
	ctx := context.Background()
	sandboxes, err := runtime.ListPodSandbox(ctx, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "localnode drain: list:", err)
		return 1
	}
	var wait sync.WaitGroup
	failed := make(chan error, len(sandboxes))
	for _, sandbox := range sandboxes {
		wait.Add(1)
		go func() {
			defer wait.Done()
			err := runtime.StopPodSandbox(ctx, sandbox.Id)
			if err == nil {
				err = runtime.RemovePodSandbox(ctx, sandbox.Id)
			}
			if err != nil {
				failed <- fmt.Errorf("%s/%s: %w", sandbox.Metadata.GetNamespace(), sandbox.Metadata.GetName(), err)
			}
		}()
	}
	wait.Wait()
	close(failed)
	code := 0
	for err := range failed {
		fmt.Fprintln(os.Stderr, "localnode drain:", err)
		code = 1
	}
	return code
}
