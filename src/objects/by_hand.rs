//! The methods that do more than their call: they ask for sizes first, take bitmaps apart, or see to what an old daemon
//! has wrong.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{
    Connection, CpuMap, Domain, Network, TypedParams,
    connection::Feature,
    enums::{
        DomainBlockJobInfoFlags, DomainBlockJobType, DomainMemoryStatTags, DomainModificationImpact,
        DomainSetTimeFlags, DomainVcpuFlags, NetworkUpdateCommand, NetworkUpdateFlags, NetworkUpdateSection,
        VcpuState,
    },
    found, open,
    stats::{BalloonStats, CpuStats, NodeCpuStats, NodeMemoryStats},
};
use crate::{
    error::{Error, Result},
    protocol::remote,
};

/// The CPUs of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct NodeCpuMap {
    /// How many there are, online or not.
    pub cpus: u32,
    /// Those that are online.
    pub online: CpuMap,
}

/// A virtual CPU of a running domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Vcpu {
    /// Its number.
    pub number: u32,
    /// What it is doing.
    pub state: VcpuState,
    /// The CPU time that it has used.
    pub cpu_time: Duration,
    /// The CPU of the host that it runs on, or `None` if it runs on none.
    pub cpu: Option<u32>,
    /// The CPUs of the host that it may run on.
    pub allowed: CpuMap,
}

/// A job that copies, commits or fills a disk of a running domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DomainBlockJob {
    /// What it does.
    pub kind: DomainBlockJobType,
    /// Its limit, in MiB/s, or in bytes/s if that was asked for; 0 for none.
    pub bandwidth: u64,
    /// How far it has come, in units of its own.
    pub current: u64,
    /// How far it has to come, in the same units; it may grow.
    pub end: u64,
}

impl Connection {
    /// Returns the running domain of this number, as [`Domain::id`] tells it.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_LOOKUP_BY_ID` (22), C: `virDomainLookupByID`, since libvirt 0.0.3. Needs
    /// `domain:getattr`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainLookupByID")]
    pub async fn domain_by_id(&self, id: u32) -> Result<Domain> {
        // No daemon hands out numbers that do not fit; it will say that it has no such domain.
        let id = i32::try_from(id).unwrap_or(i32::MAX);
        let reply = self.client().call(remote::DomainLookupByIdArgs { id }).await?;
        Ok(Domain::new(reply.dom, self))
    }

    /// Does what [`domain_by_id`](Self::domain_by_id) does, but returns `None` if there is no such domain.
    ///
    /// # Errors
    /// As [`domain_by_id`](Self::domain_by_id), but for [`Error::is_not_found`].
    pub async fn find_domain_by_id(&self, id: u32) -> Result<Option<Domain>> {
        found(self.domain_by_id(id)).await
    }

    /// Returns what one CPU of the host, or all of them, have spent their time with since it was started.
    ///
    /// Calls `REMOTE_PROC_NODE_GET_CPU_STATS` (227), first to learn how much there is to tell, C: `virNodeGetCPUStats`,
    /// since libvirt 0.9.3. Needs `connect:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virNodeGetCPUStats")]
    pub async fn node_cpu_stats(&self, cpu: impl Into<Option<u32>>) -> Result<NodeCpuStats> {
        let mut arguments = remote::NodeGetCpuStatsArgs { cpu_num: or_all(cpu.into()), nparams: 0, flags: 0 };
        arguments.nparams = self.client().call(arguments).await?.nparams;
        let reply = self.client().call(arguments).await?;
        Ok(reply.params.into_iter().map(|stat| (stat.field, stat.value)).collect::<TypedParams>().into())
    }

    /// Returns the total, free, buffered and cached memory of one NUMA cell, or of the whole host.
    ///
    /// Calls `REMOTE_PROC_NODE_GET_MEMORY_STATS` (228), first to learn how much there is to tell, C:
    /// `virNodeGetMemoryStats`, since libvirt 0.9.3. Needs `connect:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virNodeGetMemoryStats")]
    pub async fn node_memory_stats(&self, cell: impl Into<Option<u32>>) -> Result<NodeMemoryStats> {
        let cell_num = or_all(cell.into());
        let mut arguments = remote::NodeGetMemoryStatsArgs { nparams: 0, cell_num, flags: 0 };
        arguments.nparams = self.client().call(arguments).await?.nparams;
        let reply = self.client().call(arguments).await?;
        Ok(reply.params.into_iter().map(|stat| (stat.field, stat.value)).collect::<TypedParams>().into())
    }

    /// Returns how many CPUs the host has, and which are online.
    ///
    /// Calls `REMOTE_PROC_NODE_GET_CPU_MAP` (293), C: `virNodeGetCPUMap`, since libvirt 1.0.0. Needs `connect:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virNodeGetCPUMap")]
    pub async fn node_cpu_map(&self) -> Result<NodeCpuMap> {
        let arguments = remote::NodeGetCpuMapArgs { need_map: 1, need_online: 1, flags: 0 };
        let reply = self.client().call(arguments).await?;
        Ok(NodeCpuMap { cpus: u32::try_from(reply.ret).unwrap_or(0), online: CpuMap::new(&reply.cpumap) })
    }

    /// Returns how many bytes a map of all CPUs has.
    async fn map_length(&self) -> Result<i32> {
        let cpus = self.node_cpu_map().await?.cpus;
        Ok(i32::try_from(cpus.div_ceil(8)).unwrap_or(i32::MAX))
    }
}

impl Domain {
    /// Gives an inactive domain another name, and returns its handle under that name. This handle keeps the old one.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_RENAME` (358), C: `virDomainRename`, since libvirt 1.2.19. Needs `domain:write` and
    /// `domain:save`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainRename")]
    pub async fn rename(&self, new_name: impl Into<String>) -> Result<Self> {
        let name = new_name.into();
        let arguments =
            remote::DomainRenameArgs { dom: self.to_wire(), new_name: Some(name.clone()), flags: 0 };
        self.connection.client().call(arguments).await?;
        Ok(Self::new(remote::NonnullDomain { name, ..self.to_wire() }, &self.connection))
    }

    /// Returns what hypervisor and balloon driver tell of the memory of a running domain.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_MEMORY_STATS` (159), C: `virDomainMemoryStats`, since libvirt 0.7.5. Needs `domain:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainMemoryStats")]
    pub async fn memory_stats(&self) -> Result<BalloonStats> {
        let max_stats = remote::DOMAIN_MEMORY_STATS_MAX;
        let arguments = remote::DomainMemoryStatsArgs { dom: self.to_wire(), max_stats, flags: 0 };
        let reply = self.connection.client().call(arguments).await?;
        let by_name = |stat: remote::DomainMemoryStat| (memory_stat(stat.tag), stat.val);
        Ok(reply.stats.into_iter().map(by_name).collect::<TypedParams>().into())
    }

    /// Returns state, host CPU, CPU time and the host CPUs that are allowed, of each virtual CPU of a running domain.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_GET_VCPUS` (20) and others to learn the sizes, C: `virDomainGetVcpus`, since libvirt
    /// 0.1.4. Needs `domain:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. A domain that is not running has none.
    #[doc(alias = "virDomainGetVcpus")]
    pub async fn vcpus(&self) -> Result<Vec<Vcpu>> {
        let maxinfo = self.info().await?.vcpus.into();
        let maplen = self.connection.map_length().await?;
        let arguments = remote::DomainGetVcpusArgs { dom: self.to_wire(), maxinfo, maplen };
        let reply = self.connection.client().call(arguments).await?;
        let mut maps = maps(&reply.cpumaps, maplen);
        let vcpus = reply.info.into_iter().map(|info| Vcpu {
            number: info.number,
            state: VcpuState(info.state),
            cpu_time: Duration::from_nanos(info.cpu_time),
            cpu: u32::try_from(info.cpu).ok(),
            allowed: maps.next().unwrap_or_default(),
        });
        Ok(vcpus.collect())
    }

    /// Returns for each virtual CPU the host CPUs that it may run on.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_GET_VCPU_PIN_INFO` (230) and others to learn the sizes, C: `virDomainGetVcpuPinInfo`,
    /// since libvirt 0.9.3. Needs `domain:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainGetVcpuPinInfo")]
    pub async fn vcpu_pin_info(&self) -> Result<Vec<CpuMap>> {
        self.vcpu_pin_info_with(DomainModificationImpact::empty()).await
    }

    /// Does what [`vcpu_pin_info`](Self::vcpu_pin_info) does, for the running domain or for its definition.
    ///
    /// # Errors
    /// As [`vcpu_pin_info`](Self::vcpu_pin_info).
    pub async fn vcpu_pin_info_with(&self, flags: DomainModificationImpact) -> Result<Vec<CpuMap>> {
        let maximum = DomainVcpuFlags::from_bits_retain(flags.bits()) | DomainVcpuFlags::MAXIMUM;
        let counting = remote::DomainGetVcpusFlagsArgs { dom: self.to_wire(), flags: maximum.bits() };
        let ncpumaps = self.connection.client().call(counting).await?.num;
        let maplen = self.connection.map_length().await?;
        let arguments =
            remote::DomainGetVcpuPinInfoArgs { dom: self.to_wire(), ncpumaps, maplen, flags: flags.bits() };
        let reply = self.connection.client().call(arguments).await?;
        Ok(maps(&reply.cpumaps, maplen).take(usize::try_from(reply.num).unwrap_or(0)).collect())
    }

    /// Returns the host CPUs that the emulator's own threads may run on.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_GET_EMULATOR_PIN_INFO` (280), and another to learn the size, C:
    /// `virDomainGetEmulatorPinInfo`, since libvirt 0.10.0. Needs `domain:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainGetEmulatorPinInfo")]
    pub async fn emulator_pin_info(&self) -> Result<CpuMap> {
        self.emulator_pin_info_with(DomainModificationImpact::empty()).await
    }

    /// Does what [`emulator_pin_info`](Self::emulator_pin_info) does, for the running domain or for its definition.
    ///
    /// # Errors
    /// As [`emulator_pin_info`](Self::emulator_pin_info).
    pub async fn emulator_pin_info_with(&self, flags: DomainModificationImpact) -> Result<CpuMap> {
        let maplen = self.connection.map_length().await?;
        let arguments =
            remote::DomainGetEmulatorPinInfoArgs { dom: self.to_wire(), maplen, flags: flags.bits() };
        Ok(CpuMap::new(&self.connection.client().call(arguments).await?.cpumaps))
    }

    /// Returns the CPU time that the domain has used in all, and how it is made up.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_GET_CPU_STATS` (262), C: `virDomainGetCPUStats`, since libvirt 0.9.10. Needs
    /// `domain:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainGetCPUStats")]
    pub async fn cpu_stats_total(&self) -> Result<CpuStats> {
        let nparams = self.cpu_stats_of(0, -1, 1).await?.nparams;
        let reply = self.cpu_stats_of(nparams, -1, 1).await?;
        Ok(TypedParams::from_wire(reply.params).into())
    }

    /// Returns the CPU time that the domain has used on each CPU of the host, in the order of their numbers.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_GET_CPU_STATS` (262), C: `virDomainGetCPUStats`, since libvirt 0.9.10. Needs
    /// `domain:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainGetCPUStats")]
    pub async fn cpu_stats(&self) -> Result<Vec<CpuStats>> {
        let cpus = u32::try_from(self.cpu_stats_of(0, 0, 0).await?.nparams).unwrap_or(0);
        let nparams = self.cpu_stats_of(0, 0, 1).await?.nparams;
        let mut stats = Vec::new();
        for start in (0..cpus).step_by(remote::DOMAIN_GET_CPU_STATS_NCPUS_MAX as usize) {
            let count = remote::DOMAIN_GET_CPU_STATS_NCPUS_MAX.min(cpus - start);
            let reply = self.cpu_stats_of(nparams, i32::try_from(start).unwrap_or(i32::MAX), count).await?;
            // What the daemon leaves out at the end of a part must not move the parts after it.
            let missing = std::iter::repeat_with(CpuStats::default);
            stats.extend(by_cpu(&reply).chain(missing).take(count as usize));
        }
        Ok(stats)
    }

    async fn cpu_stats_of(
        &self,
        nparams: i32,
        start_cpu: i32,
        ncpus: u32,
    ) -> Result<remote::DomainGetCpuStatsRet> {
        let nparams = u32::try_from(nparams).unwrap_or(0);
        let flags = self.connection.flag_for_strings();
        let dom = self.to_wire();
        let arguments = remote::DomainGetCpuStatsArgs { dom, nparams, start_cpu, ncpus, flags };
        self.connection.client().call(arguments).await
    }

    /// Returns kind, limit and progress of the job that works on a disk, or `None` if there is none.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_GET_BLOCK_JOB_INFO` (238), C: `virDomainGetBlockJobInfo`, since libvirt 0.9.4. Needs
    /// `domain:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainGetBlockJobInfo")]
    pub async fn block_job_info(&self, path: impl Into<String>) -> Result<Option<DomainBlockJob>> {
        self.block_job_info_with(path, DomainBlockJobInfoFlags::empty()).await
    }

    /// Does what [`block_job_info`](Self::block_job_info) does, with flags: the limit can be asked for in bytes/s.
    ///
    /// # Errors
    /// As [`block_job_info`](Self::block_job_info).
    pub async fn block_job_info_with(
        &self,
        path: impl Into<String>,
        flags: DomainBlockJobInfoFlags,
    ) -> Result<Option<DomainBlockJob>> {
        let path = path.into();
        let arguments = remote::DomainGetBlockJobInfoArgs { dom: self.to_wire(), path, flags: flags.bits() };
        let reply = self.connection.client().call(arguments).await?;
        Ok((reply.found != 0).then_some(DomainBlockJob {
            kind: DomainBlockJobType(reply.type_),
            bandwidth: reply.bandwidth,
            current: reply.cur,
            end: reply.end,
        }))
    }

    /// Returns the guest's clock, as its agent tells it.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_GET_TIME` (337), C: `virDomainGetTime`, since libvirt 1.2.5. Needs `domain:read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainGetTime")]
    pub async fn time(&self) -> Result<SystemTime> {
        let arguments = remote::DomainGetTimeArgs { dom: self.to_wire(), flags: 0 };
        let reply = self.connection.client().call(arguments).await?;
        let seconds = Duration::from_secs(reply.seconds.unsigned_abs());
        let whole = match reply.seconds {
            0.. => SystemTime::UNIX_EPOCH.checked_add(seconds),
            _ => SystemTime::UNIX_EPOCH.checked_sub(seconds),
        };
        let time = whole.and_then(|whole| whole.checked_add(Duration::from_nanos(reply.nseconds.into())));
        let time = time.ok_or_else(|| {
            Error::Unsupported(format!(
                "the guest's clock shows {} s, which no clock here can",
                reply.seconds
            ))
        });
        self.connection.client().observed(time)
    }

    /// Sets the guest's clock through its agent.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_SET_TIME` (338), C: `virDomainSetTime`, since libvirt 1.2.5. Needs `domain:set_time`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. A time before 1970 is refused here.
    #[doc(alias = "virDomainSetTime")]
    pub async fn set_time(&self, time: SystemTime) -> Result<()> {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| {
            Error::Unsupported("a guest's clock cannot be set to a time before 1970".to_owned())
        });
        let since = self.connection.client().observed(since)?;
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        self.call_set_time(seconds, since.subsec_nanos(), DomainSetTimeFlags::empty()).await
    }

    /// Sets the guest's clock to that of its virtual hardware, through its agent, as is due after a pause.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_SET_TIME` (338), C: `virDomainSetTime` with `VIR_DOMAIN_TIME_SYNC`, since libvirt 1.2.5.
    /// Needs `domain:set_time`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    pub async fn sync_time(&self) -> Result<()> {
        self.call_set_time(0, 0, DomainSetTimeFlags::SYNC).await
    }

    async fn call_set_time(&self, seconds: i64, nseconds: u32, flags: DomainSetTimeFlags) -> Result<()> {
        let dom = self.to_wire();
        let arguments = remote::DomainSetTimeArgs { dom, seconds, nseconds, flags: flags.bits() };
        self.connection.client().call(arguments).await
    }
}

impl Network {
    /// Changes a section of the network's definition, running or not: adds, replaces or deletes an element, such as the
    /// host of a DHCP range. `parent_index` is the place of the element around it, or −1 for any.
    ///
    /// Calls `REMOTE_PROC_NETWORK_UPDATE` (291), C: `virNetworkUpdate`, since libvirt 0.10.2. Needs `network:write`,
    /// with [`NetworkUpdateFlags::CONFIG`] also `network:save`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virNetworkUpdate")]
    pub async fn update(
        &self,
        command: NetworkUpdateCommand,
        section: NetworkUpdateSection,
        parent_index: i32,
        xml: impl Into<String>,
    ) -> Result<()> {
        self.update_with(command, section, parent_index, xml, NetworkUpdateFlags::empty()).await
    }

    /// Does what [`update`](Self::update) does, for the running network or for its definition.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn update_with(
        &self,
        command: NetworkUpdateCommand,
        section: NetworkUpdateSection,
        parent_index: i32,
        xml: impl Into<String>,
        flags: NetworkUpdateFlags,
    ) -> Result<()> {
        let client = self.connection.client();
        // The first daemons to have it took one for the other.
        let in_order = open::supports(client, Feature::NETWORK_UPDATE_ORDER).await?;
        let (command, section) = if in_order { (command.0, section.0) } else { (section.0, command.0) };
        let arguments = remote::NetworkUpdateArgs {
            net: self.to_wire(),
            command: command as u32,
            section: section as u32,
            parent_index,
            xml: xml.into(),
            flags: flags.bits(),
        };
        client.call(arguments).await
    }
}

/// Counts from 0, with -1 for all.
fn or_all(number: Option<u32>) -> i32 {
    number.map_or(-1, |number| i32::try_from(number).unwrap_or(i32::MAX))
}

/// Names a tag of memory statistics as the statistics of all domains name the same; a tag that is not known by its number.
fn memory_stat(tag: i32) -> String {
    match DomainMemoryStatTags(tag) {
        DomainMemoryStatTags::ACTUAL_BALLOON => "current".to_owned(),
        DomainMemoryStatTags::LAST_UPDATE => "last-update".to_owned(),
        tag => tag.name().map_or_else(|| tag.0.to_string(), str::to_lowercase),
    }
}

/// Sorts parameters by CPU. What a CPU lacks is left out, the same for all: the reply says how many each has.
fn by_cpu(reply: &remote::DomainGetCpuStatsRet) -> impl Iterator<Item = CpuStats> {
    let each = usize::try_from(reply.nparams).unwrap_or(0).max(1);
    reply.params.chunks(each).map(|params| TypedParams::from_wire(params.to_vec()).into())
}

/// Takes maps apart that come one after the other.
fn maps(bytes: &Bytes, length: i32) -> impl Iterator<Item = CpuMap> {
    bytes.chunks(usize::try_from(length).unwrap_or(0).max(1)).map(CpuMap::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_sorted_by_cpu() {
        let two = |cpu: u64| [("cpu_time", cpu), ("vcpu_time", cpu + 1)];
        let params = TypedParams::from_iter([two(10), two(20), two(30)].concat()).into_wire();
        let reply = remote::DomainGetCpuStatsRet { params, nparams: 2 };
        let times: Vec<_> = by_cpu(&reply).map(|cpu| (cpu.cpu_time, cpu.vcpu_time)).collect();
        let nanos = |count| Some(Duration::from_nanos(count));
        assert_eq!(times, [10, 20, 30].map(|cpu| (nanos(cpu), nanos(cpu + 1))));
        assert_eq!(by_cpu(&remote::DomainGetCpuStatsRet { params: Vec::new(), nparams: 0 }).count(), 0);
    }

    #[test]
    fn maps_are_taken_apart() {
        let bytes = Bytes::from_static(&[1, 0, 2, 1]);
        let apart: Vec<String> = maps(&bytes, 2).map(|map| map.to_string()).collect();
        assert_eq!(apart, ["0", "1,8"]);
        assert_eq!(maps(&Bytes::new(), 0).count(), 0);
    }
}
