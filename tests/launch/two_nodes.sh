#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, from Debian's packages, without installing anything.
#
#   two_nodes.sh unpack ROOT                 download the packages and unpack them, once
#   two_nodes.sh start ROOT FOLDER PORT      configure in FOLDER, start on PORT, PORT+1 and PORT+2
#
# `start` writes FOLDER/environment, one NAME=value a line, which every command of Slurm needs. Every process it starts
# has SLURM_CONF=FOLDER/slurm.conf in its environment: that is how they are found to be ended.
set -euo pipefail

PACKAGES=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libmunge2 libhwloc15 liblua5.1-0 libnewt0.52 libevent-core-2.1-7)

unpack() {
    mkdir -p "$1/packages"
    (cd "$1/packages" && apt-get download -q "${PACKAGES[@]}")
    for package in "$1"/packages/*.deb; do dpkg -x "$package" "$1"; done
}

configure() {
    local root=$1 folder=$2 port=$3 library=$1/usr/lib/x86_64-linux-gnu user host
    user=$(id -un) host=$(hostname)
    mkdir -p "$folder"/{log,run,state,n1,n2}
    chmod 755 "$folder" "$folder/run"
    head -c 1024 /dev/urandom >"$folder/munge.key"
    chmod 400 "$folder/munge.key"
    cat >"$folder/environment" <<END
SLURM_CONF=$folder/slurm.conf
LD_LIBRARY_PATH=$library:$library/slurm-wlm
PATH=$root/usr/bin:$root/usr/sbin:$PATH
END
    # A node is given up after some silent seconds, and a job that lost its node is started again as soon as that is safe.
    cat >"$folder/slurm.conf" <<END
ClusterName=two
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge,cred_expire=5
CredType=cred/munge
PluginDir=$library/slurm-wlm
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/%n.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/%n
SlurmctldPort=$port
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
ReturnToService=2
SlurmdTimeout=5
KillWait=5
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=1
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
}

start() {
    local root=$1 folder=$2
    configure "$@"
    set -a && . "$folder/environment" && set +a
    munged --force --key-file="$folder/munge.key" --socket="$folder/run/munge" --pid-file="$folder/run/munged.pid" \
        --log-file="$folder/log/munged" --seed-file="$folder/run/seed"
    slurmctld-wlm -c -f "$SLURM_CONF"
    for node in n1 n2; do
        SLURMD_NODENAME=$node slurmd-wlm -f "$SLURM_CONF" -N $node -d "$root/usr/sbin/slurmstepd-wlm"
    done
    for _ in $(seq 100); do
        [ "$(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | wc -l)" = 2 ] && return
        sleep 0.2
    done
    echo "the two nodes did not come up; see $folder/log" >&2
    exit 1
}

"$@"
