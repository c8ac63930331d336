// Package example is what the examples have in common: where the gateway is, and a context that Ctrl-C ends.
package example

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	switchgate "github.com/switchgate/switchgate/clients/go"
)

var (
	gateway   = flag.String("gateway", "127.0.0.1:50061", "address of the gateway, or of several with commas between")
	tokenFile = flag.String("token-file", "", "file with the bearer token")
	useTLS    = flag.Bool("tls", false, "speak TLS, with the authorities of the system")
)

// Run parses the flags, connects and runs a program; what it returns ends the process.
func Run(program func(context.Context, *switchgate.Client) error) {
	flag.Parse()
	var options []switchgate.Option
	if *tokenFile != "" {
		options = append(options, switchgate.WithTokenFile(*tokenFile))
	}
	if !*useTLS {
		options = append(options, switchgate.WithPlaintext())
	}
	client, err := switchgate.Dial(*gateway, options...)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = program(ctx, client)
		// One that was told to stop did not fail.
		if ctx.Err() != nil {
			err = nil
		}
		stop()
		client.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
