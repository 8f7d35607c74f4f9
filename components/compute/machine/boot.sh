#!/bin/bash
# At every boot of an instance, before Docker and the ECS agent start (a cloud-boothook).
set -uo pipefail

METADATA=169.254.169.254
SCRATCH=/var/lib/docker/volumes

# Jobs use the host's network, so no hop limit keeps them from the instance's credentials. Root
# still asks: the ECS agent does. Jobs run as another user; their own credentials come from the
# agent at 169.254.170.2, which is not touched.
forbid_metadata() {
    local rule=(OUTPUT --destination "$METADATA/32" --match owner ! --uid-owner 0 --jump DROP)
    iptables --wait --check "${rule[@]}" 2>/dev/null || iptables --wait --insert "${rule[@]}"
}

refuse_work() {
    echo "superres: the metadata address is open to jobs, so this instance takes none" >&2
    systemctl mask --runtime ecs.service
    systemctl --no-block poweroff
}

# Docker's volumes, which are the jobs' scratch, on the instance's own disks where it has any: fast,
# free, encrypted by the hardware, and gone with the instance. Striped where mdadm is installed.
mount_scratch() {
    local disks device
    mountpoint --quiet "$SCRATCH" && return
    udevadm settle
    mapfile -t disks < <(lsblk --nodeps --noheadings --paths --output NAME,MODEL |
        awk '/Amazon EC2 NVMe Instance Storage/ { print $1 }')
    ((${#disks[@]})) || return 0
    device=${disks[0]}
    if ((${#disks[@]} > 1)) && command -v mdadm >/dev/null; then
        device=/dev/md/scratch
        mdadm --create "$device" --run --level=0 --raid-devices=${#disks[@]} "${disks[@]}" || return
    fi
    mkfs.xfs -f -q "$device" &&
        mkdir --parents "$SCRATCH" &&
        mount --options noatime,nodev,nosuid "$device" "$SCRATCH" &&
        chmod 701 "$SCRATCH"
}

forbid_metadata || refuse_work
mount_scratch || echo "superres: scratch stays on the root volume" >&2
