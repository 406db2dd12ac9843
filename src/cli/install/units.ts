import { LAYOUT, MARKERS } from './layout.ts'

/**
 * Clears away what is left of another boot or of a crash, before guests start. Debian starts Xen by init scripts, which
 * systemd knows as xen.service and xendomains.service; elsewhere xenstored has a unit of its own.
 */
export function reconcileService(): string {
  return `${MARKERS.unit}
[Unit]
Description=Detach LUNs of Xen guests and processes that are gone
After=iscsid.service open-iscsi.service multipathd.service xenstored.service xen.service
Before=xendomains.service
# The same kernel without Xen has no xenstored to ask.
ConditionPathExists=|/proc/xen
ConditionPathExists=|/sys/hypervisor/type

[Service]
Type=oneshot
ExecStart=${LAYOUT.command} reconcile --apply
# reconcile gives up after 120 s by itself, and takes back what it was at.
TimeoutStartSec=180
# An iscsiadm that is killed leaves its database locked: reconcile itself ends what it has started.
KillMode=process

[Install]
WantedBy=multi-user.target
`
}

/** A minute after the last run has ended, so that two never meet. */
export function reconcileTimer(): string {
  return `${MARKERS.unit}
[Unit]
Description=Look every minute for LUNs of Xen guests and processes that are gone

[Timer]
OnBootSec=1min
OnUnitInactiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
`
}
