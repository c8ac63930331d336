//! A server's TLS that follows its files.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tracing::{info, warn};

use super::files::{Files, Flaws};
use super::material::{Contents, Material};

/// Files are not changed all at once where nobody sees to it: what is bad is read again after
/// this time before it counts.
const SETTLE: Duration = Duration::from_secs(1);

/// The TLS of a server, which is replaced when its files change. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: ArcSwap<Files>,
    current: watch::Sender<Arc<Material>>,
    failed_reloads: AtomicU64,
    /// One at a time looks at the files; holds what was last told to be wrong with them.
    told: tokio::sync::Mutex<Option<Flaws>>,
}

/// What an operator watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFigures {
    /// When the certificate in use expires.
    pub not_after: SystemTime,
    /// When the files in use were read.
    pub loaded_at: SystemTime,
    /// How often the files were looked at and found bad, since the start.
    pub failed_reloads: u64,
}

// === impl Tls ===

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(files: Files) -> Result<Self, Flaws> {
        let material = Material::load(&files, &|path: &Path| std::fs::read_to_string(path))?;
        warn_of_date(&files, &material);
        Ok(Self(Arc::new(Shared {
            files: ArcSwap::from_pointee(files),
            current: watch::Sender::new(Arc::new(material)),
            failed_reloads: AtomicU64::new(0),
            told: tokio::sync::Mutex::new(None),
        })))
    }

    /// What is in use, and each that replaces it.
    pub fn follow(&self) -> watch::Receiver<Arc<Material>> {
        self.0.current.subscribe()
    }

    /// What an operator watches.
    pub fn figures(&self) -> TlsFigures {
        let current = self.0.current.borrow();
        TlsFigures {
            not_after: current.not_after,
            loaded_at: current.loaded_at,
            failed_reloads: self.0.failed_reloads.load(Ordering::Relaxed),
        }
    }

    /// Reads the files again and puts them in use for new handshakes, if they have changed; says
    /// whether they had. Connections go on, save those whose client's certificate is good no more.
    ///
    /// # Errors
    /// Everything that is wrong with the files; what was in use stays.
    pub async fn reload(&self) -> Result<bool, Flaws> {
        let told = self.0.told.lock().await;
        self.take(told, self.0.files.load_full()).await
    }

    /// As [`Tls::reload`], from these files from now on, if they are good.
    ///
    /// # Errors
    /// As [`Tls::reload`]; then the files of before are still those that are followed.
    pub async fn replace(&self, files: Files) -> Result<bool, Flaws> {
        let told = self.0.told.lock().await;
        let files = match *self.0.files.load_full() == files {
            true => self.0.files.load_full(),
            false => Arc::new(files),
        };
        self.take(told, files).await
    }

    async fn take(
        &self,
        mut told: tokio::sync::MutexGuard<'_, Option<Flaws>>,
        files: Arc<Files>,
    ) -> Result<bool, Flaws> {
        let mut read = self.read(&files).await;
        if read.is_err() {
            tokio::time::sleep(SETTLE).await;
            read = self.read(&files).await;
        }
        match read {
            Ok(material) => {
                if told.take().is_some() {
                    info!("TLS files are good again");
                }
                let is_new = material.is_some();
                self.0.files.store(Arc::clone(&files));
                if let Some(material) = material {
                    warn_of_date(&files, &material);
                    let expires = humantime::format_rfc3339_seconds(material.not_after);
                    info!(%expires, "TLS files have changed and are in use");
                    self.0.current.send_replace(Arc::new(material));
                }
                Ok(is_new)
            }
            Err(flaws) => {
                self.0.failed_reloads.fetch_add(1, Ordering::Relaxed);
                if told.as_ref() != Some(&flaws) {
                    warn!(error = %flaws, "TLS files are bad; those read before stay in use");
                    *told = Some(flaws.clone());
                }
                Err(flaws)
            }
        }
    }

    /// Reloads at this interval, for ever. The contents are compared: a volume of Kubernetes swaps
    /// a link above the files, which watching them does not show.
    pub async fn poll(self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            // It has logged what went wrong.
            let _ = self.reload().await;
        }
    }

    /// What the files come to now; `None` when they are those in use.
    async fn read(&self, files: &Arc<Files>) -> Result<Option<Material>, Flaws> {
        // Other files are taken though they hold the same: what clients must give may be another.
        let followed = Arc::ptr_eq(files, &self.0.files.load());
        let files = Arc::clone(files);
        let in_use = self.0.current.borrow().contents().clone();
        let read = move || {
            let contents = Contents::read(&files, &|path: &Path| std::fs::read_to_string(path))?;
            match followed && contents.digest() == in_use {
                true => Ok(None),
                false => Material::build(&files, &contents).map(Some),
            }
        };
        // A file can be on a volume that hangs.
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            Err(_) => Ok(None),
        }
    }
}

/// An expired certificate is served: it is all that there is, and clients say what is wrong.
fn warn_of_date(files: &Files, material: &Material) {
    if let Some(reason) = material.out_of_date(SystemTime::now()) {
        let certificate = files.certificate.display();
        let expires = humantime::format_rfc3339_seconds(material.not_after);
        warn!(%certificate, reason, %expires, "TLS certificate is out of date; clients refuse it");
    }
}
