package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// process is a program of Switchgate that can be ended and started again at the same address.
type process struct {
	address string
	binary  string
	args    []string
	command *exec.Cmd
	log     *os.File
}

// simulator is a FreeSWITCH, whose event socket stays while gateways come and go.
func simulator(binary string, log *os.File) (*process, error) {
	address, err := free()
	p := &process{address: address, binary: binary, args: []string{"sim", "--listen", address}, log: log}
	if err != nil {
		return nil, err
	}
	return p, p.start(func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func gateway(binary, node string, log *os.File) (*process, error) {
	address, err := free()
	if err != nil {
		return nil, err
	}
	p := &process{address: address, binary: binary, log: log, args: []string{
		"serve", "--listen", address, "--node", "fs=" + node,
	}}
	return p, p.startGateway()
}

// startGateway returns when the gateway's health is SERVING.
func (p *process) startGateway() error {
	conn, err := grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	return p.start(func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		told, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
		return err == nil && told.GetStatus() == healthv1.HealthCheckResponse_SERVING
	})
}

func (p *process) start(ready func() bool) error {
	p.command = exec.Command(p.binary, p.args...)
	p.command.Stderr = p.log
	p.command.Env = append(os.Environ(), "SWITCHGATE__SHUTDOWN__DELAY=300ms", "SWITCHGATE__SHUTDOWN__GRACE=10s",
		"SWITCHGATE__ADMIN__ENABLED=false", "SWITCHGATE_ESL_PASSWORD=ClueCon", "RUST_LOG=warn")
	if err := p.command.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if ready() {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.kill()
	return fmt.Errorf("%s %v is not ready", p.binary, p.args)
}

// stop ends it in order, and says when it did not exit with 0.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.command.Wait()
}

func (p *process) kill() {
	// Both fail when it has ended already.
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

func free() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
