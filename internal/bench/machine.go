package bench

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// A Machine says where a report comes from.
type Machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory int64   `json:"memoryBytes"`
	Disk   string  `json:"fileSystem"` // of the measured directory
	OS     string  `json:"os"`
	Go     string  `json:"go"`
	Load   float64 `json:"loadAverage"` // over the last minute, at the start
}

func machine(dir string) Machine {
	m := Machine{Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), CPU: field("/proc/cpuinfo", "model name")}
	var kb int64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kb); err == nil {
		m.Memory = kb << 10
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(b), &m.Load) // it stays 0
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) == nil {
		m.Disk = fileSystem(int64(fs.Type))
	}
	return m
}

// field is the value of a named line of a file under /proc.
func field(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem names the common ones, which differ most in what a sync costs.
func fileSystem(magic int64) string {
	if name, ok := map[int64]string{0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs", 0x794c7630: "overlay", 0x2FC12FC1: "zfs"}[magic]; ok {
		return name
	}
	return fmt.Sprintf("%#x", magic)
}
