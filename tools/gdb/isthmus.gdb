# SPDX-License-Identifier: MIT
# gdb -x tools/gdb/isthmus.gdb, beside `isthmus boot --gdb`: symbols of the
# hypervisor and of host-bridge, and commands for what is in the hypervisor.
# docs/debugging.md explains them; "help user-defined" lists them.

set confirm off
set pagination off
set architecture i386:x86-64
set disassemble-next-line auto
file build/hypervisor/hypervisor.elf

define connect
	if $argc == 0
		target remote 127.0.0.1:1234
	else
		target remote $arg0
	end
end
document connect
connect [STUB]: to the machine that waits (127.0.0.1:1234).
end

define to-hypervisor
	thbreak hv_start
	continue
	printf "at the hypervisor's entry; \"to-partition\" goes on from here\n"
end
document to-hypervisor
Runs through firmware and loader to the hypervisor's first C function.
end

define to-partition
	thbreak sched_loop
	continue
end
document to-partition
Runs to where the boot CPU begins to run partitions.
end

define to-stop
	hbreak partition_kill
	hbreak panic
	continue
end
document to-stop
Runs until a partition is killed, or the hypervisor panics.
end

define with-host-bridge
	add-symbol-file build/host-bridge/host-bridge.elf
end
document with-host-bridge
Adds host-bridge's symbols. It is mapped one to one in its own partition:
break in it with hbreak, and only there its addresses mean its memory.
end

define partitions
	set $i = 0
	while $i < partition_count
		set $p = partitions[$i]
		printf "%u %s: state %u reason %u, %lu of %lu KiB, started %lu times\n", \
			$p->id, $p->config->name, $p->state, $p->reason, \
			owned[FRAME_PARTITION0 + $p->id] * 4, $p->pages_cap * 4, \
			$p->start_count
		set $k = 0
		while $k < $p->vcpu_count
			set $v = $p->vcpus[$k]
			printf "  vCPU %u: ", $k
			output (enum vcpu_state)$v->state
			printf ", attention %#x, on CPU %u\n", $v->attention, \
				$v->cpu->index
			set $k = $k + 1
		end
		set $i = $i + 1
	end
end
document partitions
Every partition: state (enum hc_state), memory, vCPUs.
end

define exits
	set $v = partitions[$arg0]->vcpus[$arg1]
	set $i = 0
	while $i < sizeof(vm_exit_names) / sizeof(vm_exit_names[0])
		if $v->exits[$i]
			printf "%10lu %s\n", $v->exits[$i], vm_exit_names[$i]
		end
		set $i = $i + 1
	end
end
document exits
exits PARTITION VCPU: its exits by reason.
end

define guest-regs
	set $v = partitions[$arg0]->vcpus[$arg1]
	output/x $v->regs
	printf "\n"
end
document guest-regs
guest-regs PARTITION VCPU: general registers as of its last exit.
end

define log-tail
	set $n = $arg0
	if $n > box->log.head
		set $n = box->log.head
	end
	set $at = box->log.head - $n
	while $at < box->log.head
		printf "%c", box->log.text[$at % sizeof(box->log.text)]
		set $at = $at + 1
	end
end
document log-tail
log-tail BYTES: the end of the hypervisor's log.
end
