-- The lab's own definition of a database with the tables, columns and references
-- of opsi 4.2: references say nothing of updates, rows are numbered.
SET NAMES utf8mb4;
CREATE TABLE HOST (
  hostId VARCHAR(255) NOT NULL PRIMARY KEY, type VARCHAR(30), description VARCHAR(100), notes VARCHAR(500),
  hardwareAddress VARCHAR(17), ipAddress VARCHAR(255), inventoryNumber VARCHAR(64),
  created TIMESTAMP NULL DEFAULT NULL, lastSeen TIMESTAMP NULL DEFAULT NULL,
  opsiHostKey VARCHAR(32), oneTimePassword VARCHAR(32), maxBandwidth INT,
  depotLocalUrl VARCHAR(128), depotRemoteUrl VARCHAR(255), depotWebdavUrl VARCHAR(255),
  repositoryLocalUrl VARCHAR(128), repositoryRemoteUrl VARCHAR(255),
  networkAddress VARCHAR(31), isMasterDepot TINYINT(1), masterDepotId VARCHAR(255),
  workbenchLocalUrl VARCHAR(128), workbenchRemoteUrl VARCHAR(255),
  KEY host_by_type (type)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE CONFIG (
  configId VARCHAR(200) NOT NULL PRIMARY KEY, type VARCHAR(30) NOT NULL, description VARCHAR(256),
  multiValue BOOL NOT NULL, editable BOOL NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE CONFIG_VALUE (
  config_value_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, configId VARCHAR(200) NOT NULL, value TEXT, isDefault BOOL,
  FOREIGN KEY (configId) REFERENCES CONFIG (configId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE CONFIG_STATE (
  config_state_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, configId VARCHAR(200) NOT NULL, objectId VARCHAR(255) NOT NULL, `values` TEXT,
  KEY state_by_config (configId), KEY state_by_object (objectId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
-- An administrator widened the notes for what the rest of the database cannot hold.
CREATE TABLE `GROUP` (
  type VARCHAR(30) NOT NULL, groupId VARCHAR(255) NOT NULL, parentGroupId VARCHAR(255), description VARCHAR(100),
  notes VARCHAR(500) CHARACTER SET utf8mb4, PRIMARY KEY (type, groupId), KEY group_by_parent (parentGroupId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE OBJECT_TO_GROUP (
  object_to_group_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, groupType VARCHAR(30) NOT NULL, groupId VARCHAR(255) NOT NULL, objectId VARCHAR(255) NOT NULL,
  FOREIGN KEY (groupType, groupId) REFERENCES `GROUP` (type, groupId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE PRODUCT (
  productId VARCHAR(255) NOT NULL, productVersion VARCHAR(32) NOT NULL, packageVersion VARCHAR(16) NOT NULL, type VARCHAR(32) NOT NULL,
  name VARCHAR(128) NOT NULL, licenseRequired BOOL NOT NULL, setupScript VARCHAR(50), uninstallScript VARCHAR(50), updateScript VARCHAR(50),
  alwaysScript VARCHAR(50), onceScript VARCHAR(50), customScript VARCHAR(50), userLoginScript VARCHAR(50), priority INT,
  description TEXT, advice TEXT, pxeConfigTemplate VARCHAR(50), changelog TEXT,
  PRIMARY KEY (productId, productVersion, packageVersion)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE PRODUCT_DEPENDENCY (
  productId VARCHAR(50) NOT NULL, productVersion VARCHAR(32) NOT NULL, packageVersion VARCHAR(16) NOT NULL, productAction VARCHAR(16) NOT NULL,
  requiredProductId VARCHAR(50) NOT NULL, requiredProductVersion VARCHAR(32), requiredPackageVersion VARCHAR(16), requiredAction VARCHAR(16),
  requiredInstallationStatus VARCHAR(16), requirementType VARCHAR(16),
  PRIMARY KEY (productId, productVersion, packageVersion, productAction, requiredProductId),
  FOREIGN KEY (productId, productVersion, packageVersion) REFERENCES PRODUCT (productId, productVersion, packageVersion)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE PRODUCT_PROPERTY (
  productId VARCHAR(255) NOT NULL, productVersion VARCHAR(32) NOT NULL, packageVersion VARCHAR(16) NOT NULL, propertyId VARCHAR(200) NOT NULL,
  type VARCHAR(30) NOT NULL, description TEXT, multiValue BOOL NOT NULL, editable BOOL NOT NULL,
  PRIMARY KEY (productId, productVersion, packageVersion, propertyId),
  FOREIGN KEY (productId, productVersion, packageVersion) REFERENCES PRODUCT (productId, productVersion, packageVersion)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE PRODUCT_PROPERTY_VALUE (
  product_property_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, productId VARCHAR(255) NOT NULL, productVersion VARCHAR(32) NOT NULL,
  packageVersion VARCHAR(16) NOT NULL, propertyId VARCHAR(200) NOT NULL, value TEXT, isDefault BOOL,
  FOREIGN KEY (productId, productVersion, packageVersion, propertyId) REFERENCES PRODUCT_PROPERTY (productId, productVersion, packageVersion, propertyId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE PRODUCT_PROPERTY_STATE (
  product_property_state_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, productId VARCHAR(255) NOT NULL, propertyId VARCHAR(200) NOT NULL,
  objectId VARCHAR(255) NOT NULL, `values` TEXT, KEY property_by_object (objectId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE PRODUCT_ON_DEPOT (
  productId VARCHAR(255) NOT NULL, productVersion VARCHAR(32) NOT NULL, packageVersion VARCHAR(16) NOT NULL, depotId VARCHAR(255) NOT NULL,
  productType VARCHAR(16) NOT NULL, locked BOOL, PRIMARY KEY (productId, depotId),
  FOREIGN KEY (productId, productVersion, packageVersion) REFERENCES PRODUCT (productId, productVersion, packageVersion),
  FOREIGN KEY (depotId) REFERENCES HOST (hostId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE PRODUCT_ON_CLIENT (
  productId VARCHAR(255) NOT NULL, clientId VARCHAR(255) NOT NULL, productType VARCHAR(16) NOT NULL, targetConfiguration VARCHAR(16),
  installationStatus VARCHAR(16), actionRequest VARCHAR(16), actionProgress VARCHAR(255), actionResult VARCHAR(16), lastAction VARCHAR(16),
  productVersion VARCHAR(32), packageVersion VARCHAR(16), modificationTime TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (productId, clientId),
  FOREIGN KEY (clientId) REFERENCES HOST (hostId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE WINDOWS_SOFTWARE_ID_TO_PRODUCT (
  windowsSoftwareId VARCHAR(100) NOT NULL, productId VARCHAR(50) NOT NULL, PRIMARY KEY (windowsSoftwareId, productId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE LICENSE_CONTRACT (
  licenseContractId VARCHAR(100) NOT NULL PRIMARY KEY, type VARCHAR(30) NOT NULL, description VARCHAR(100), notes VARCHAR(1000), partner VARCHAR(100),
  conclusionDate TIMESTAMP NULL DEFAULT NULL, notificationDate TIMESTAMP NULL DEFAULT NULL, expirationDate TIMESTAMP NULL DEFAULT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE SOFTWARE_LICENSE (
  softwareLicenseId VARCHAR(100) NOT NULL PRIMARY KEY, licenseContractId VARCHAR(100) NOT NULL, type VARCHAR(30) NOT NULL, boundToHost VARCHAR(255),
  maxInstallations INT, expirationDate TIMESTAMP NULL DEFAULT NULL, KEY license_by_host (boundToHost),
  FOREIGN KEY (licenseContractId) REFERENCES LICENSE_CONTRACT (licenseContractId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE LICENSE_POOL (licensePoolId VARCHAR(100) NOT NULL PRIMARY KEY, type VARCHAR(30) NOT NULL, description VARCHAR(200)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE AUDIT_SOFTWARE_TO_LICENSE_POOL (
  licensePoolId VARCHAR(100) NOT NULL, name VARCHAR(100) NOT NULL, version VARCHAR(100) NOT NULL, subVersion VARCHAR(100) NOT NULL,
  language VARCHAR(10) NOT NULL, architecture VARCHAR(3) NOT NULL, PRIMARY KEY (name, version, subVersion, language, architecture),
  FOREIGN KEY (licensePoolId) REFERENCES LICENSE_POOL (licensePoolId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE PRODUCT_ID_TO_LICENSE_POOL (
  licensePoolId VARCHAR(100) NOT NULL, productId VARCHAR(255) NOT NULL, PRIMARY KEY (licensePoolId, productId),
  FOREIGN KEY (licensePoolId) REFERENCES LICENSE_POOL (licensePoolId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE SOFTWARE_LICENSE_TO_LICENSE_POOL (
  softwareLicenseId VARCHAR(100) NOT NULL, licensePoolId VARCHAR(100) NOT NULL, licenseKey VARCHAR(1024), PRIMARY KEY (softwareLicenseId, licensePoolId),
  FOREIGN KEY (softwareLicenseId) REFERENCES SOFTWARE_LICENSE (softwareLicenseId), FOREIGN KEY (licensePoolId) REFERENCES LICENSE_POOL (licensePoolId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE LICENSE_ON_CLIENT (
  license_on_client_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, softwareLicenseId VARCHAR(100) NOT NULL, licensePoolId VARCHAR(100) NOT NULL,
  clientId VARCHAR(255), licenseKey VARCHAR(1024), notes VARCHAR(1024),
  FOREIGN KEY (softwareLicenseId, licensePoolId) REFERENCES SOFTWARE_LICENSE_TO_LICENSE_POOL (softwareLicenseId, licensePoolId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE SOFTWARE (
  name VARCHAR(100) NOT NULL, version VARCHAR(100) NOT NULL, subVersion VARCHAR(100) NOT NULL, language VARCHAR(10) NOT NULL, architecture VARCHAR(3) NOT NULL,
  windowsSoftwareId VARCHAR(100), windowsDisplayName VARCHAR(100), windowsDisplayVersion VARCHAR(100), type VARCHAR(30) NOT NULL, installSize BIGINT,
  PRIMARY KEY (name, version, subVersion, language, architecture)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE SOFTWARE_CONFIG (
  config_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, clientId VARCHAR(255) NOT NULL, name VARCHAR(100) NOT NULL, version VARCHAR(100) NOT NULL,
  subVersion VARCHAR(100) NOT NULL, language VARCHAR(10) NOT NULL, architecture VARCHAR(3) NOT NULL, uninstallString VARCHAR(200), binaryName VARCHAR(100),
  firstseen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, lastseen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  state TINYINT NOT NULL, usageFrequency INT NOT NULL DEFAULT -1, lastUsed TIMESTAMP NULL DEFAULT NULL, licenseKey VARCHAR(1024),
  KEY software_by_client (clientId), KEY software_by_name (name, version, subVersion, language, architecture)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
-- Made from the classes of opsihwaudit.conf, with the server's present default.
CREATE TABLE HARDWARE_DEVICE_VIDEO_CONTROLLER (
  hardware_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200), description VARCHAR(200), vendor VARCHAR(50), adapterRAM BIGINT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE HARDWARE_CONFIG_VIDEO_CONTROLLER (
  config_id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, hostId VARCHAR(255) NOT NULL, hardware_id INT NOT NULL,
  firstseen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, lastseen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, state TINYINT NOT NULL DEFAULT 1,
  videoMode VARCHAR(100), KEY hardware_by_host (hostId)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE OPSI_SCHEMA (version INT NOT NULL PRIMARY KEY, updateStarted TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP, updateEnded TIMESTAMP NULL DEFAULT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO OPSI_SCHEMA VALUES (0, '2021-04-01 09:00:00', '2021-04-01 09:00:02'), (8, '2022-06-01 09:00:00', '2022-06-01 09:00:05');
